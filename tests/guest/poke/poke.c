// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests only: plays the agent inside a running guest, where no agent is. Copies a file to a
 * guest-physical address that is not RAM for Linux, and gives frames back to Xen, which makes holes.
 * With request=, plays a driver that wants a page of memory nobody uses: EBUSY when it is somebody's.
 *
 * insmod poke.ko file=/save.bin address=0x30000000 hole=0x10000000 hole_frames=256
 * insmod poke.ko request=0x10000000
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/pfn.h>
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
	return file ? copy_file() : 0;
}
module_init(poke_init);

static void __exit poke_exit(void)
{
	if (request)
		release_mem_region(request, PAGE_SIZE);
}
module_exit(poke_exit);

MODULE_DESCRIPTION("Plays the dump agent inside a guest, for tests");
MODULE_LICENSE("GPL");
