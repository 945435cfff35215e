// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests only: plays the agent inside a running guest, where no agent is. Copies a file to a
 * guest-physical address that is not RAM for Linux, and gives frames back to Xen, which makes holes.
 * With request=, plays a driver that wants a page of memory nobody uses: EBUSY when it is somebody's.
 * With watch=, fills memory with a mark and counts, as long as it is loaded, what goes to Xen of it:
 * all frames (parameter given), and those that are not all zeros (dirty).
 *
 * insmod poke.ko file=/save.bin address=0x30000000 hole=0x10000000 hole_frames=256
 * insmod poke.ko request=0x10000000
 * insmod poke.ko watch=0x10000000 watch_bytes=0x20000000
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <xen/interface/xen.h>
#include <xen/mem-reservation.h>
#include <xen/xen.h>

static char *file;
module_param(file, charp, 0);
static unsigned long long address;
module_param(address, ullong, 0);
static unsigned long long hole;
module_param(hole, ullong, 0);
static unsigned int hole_frames;
module_param(hole_frames, uint, 0);

static unsigned long long request;
module_param(request, ullong, 0);

static unsigned long long watch, watch_bytes;
module_param(watch, ullong, 0);
module_param(watch_bytes, ullong, 0);
static unsigned long given, dirty;
module_param(given, ulong, 0444);
module_param(dirty, ulong, 0444);

/* Made before the probe, which must not sleep. */
static void *watched;

/* xenmem_reservation_decrease(count, frames) */
static int count_frames(struct kprobe *p, struct pt_regs *regs)
{
	int i, count = (int)regs_get_kernel_argument(regs, 0);
	const xen_pfn_t *frames = (const xen_pfn_t *)regs_get_kernel_argument(regs, 1);

	for (i = 0; i < count; i++) {
		u64 offset = PFN_PHYS((u64)frames[i]) - watch;

		if (offset >= watch_bytes)
			continue;
		given++;
		if (memchr_inv(watched + offset, 0, PAGE_SIZE))
			dirty++;
	}
	return 0;
}

static struct kprobe probe = {
	.symbol_name = "xenmem_reservation_decrease",
	.pre_handler = count_frames,
};

static int start_watch(void)
{
	u64 offset;
	int rc;

	watched = memremap(watch, watch_bytes, MEMREMAP_WB);
	if (!watched)
		return -ENOMEM;
	/* In holes, writes go nowhere. */
	for (offset = 0; offset < watch_bytes; offset += PAGE_SIZE) {
		*(u64 *)(watched + offset + PAGE_SIZE / 2) = 0x736563726574ULL;
		cond_resched();
	}
	rc = register_kprobe(&probe);
	if (rc)
		memunmap(watched);
	return rc;
}

static int copy_file(void)
{
	struct file *source = filp_open(file, O_RDONLY, 0);
	loff_t size, pos = 0;
	void *mapped;
	ssize_t n = 0;

	if (IS_ERR(source))
		return PTR_ERR(source);
	size = i_size_read(file_inode(source));
	mapped = memremap(address, size, MEMREMAP_WB);
	if (!mapped) {
		fput(source);
		return -ENOMEM;
	}
	while (pos < size) {
		n = kernel_read(source, mapped + pos, min_t(loff_t, size - pos, 1 << 20), &pos);
		if (n <= 0)
			break;
	}
	memunmap(mapped);
	fput(source);
	return pos == size ? 0 : n < 0 ? n : -EIO;
}

static int __init poke_init(void)
{
	unsigned int i;

	for (i = 0; i < hole_frames; i++) {
		xen_pfn_t frame = PHYS_PFN(hole) + i;

		if (xenmem_reservation_decrease(1, &frame) != 1)
			return -EIO;
	}
	if (request && !request_mem_region(request, PAGE_SIZE, "poke"))
		return -EBUSY;
	if (watch)
		return start_watch();
	return file ? copy_file() : 0;
}
module_init(poke_init);

static void __exit poke_exit(void)
{
	if (request)
		release_mem_region(request, PAGE_SIZE);
	if (!watch)
		return;
	unregister_kprobe(&probe);
	memunmap(watched);
}
module_exit(poke_exit);

MODULE_DESCRIPTION("Plays the dump agent inside a guest, for tests");
MODULE_LICENSE("GPL");
