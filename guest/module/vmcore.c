// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /proc/vmcore may show. Its callbacks run for every page that is read or mapped, without our
 * locks.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/crash_dump.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "hadump.h"

/*
 * Bit i: the i-th block of the running kernel's, counted from first_pfn, has been given. Set before
 * the block is added, and never cleared: where Linux refuses it, its content may be gone already.
 */
static struct {
	unsigned long *given;
	unsigned long first_pfn, nr_pfns;
	unsigned int block_shift;	/* frames to blocks */
	unsigned long save_first, save_end;	/* frames */
	bool save_released;
	const struct hadump_layout *layout;	/* for its holes, which do not change */
} hidden;

bool hadump_pfn_is_given(unsigned long pfn)
{
	unsigned long offset = pfn - hidden.first_pfn;

	return offset < hidden.nr_pfns && test_bit(offset >> hidden.block_shift, hidden.given);
}

static bool is_hole(unsigned long pfn)
{
	const struct hadump_layout *l = hidden.layout;
	u32 i = hadump_range_after(l->holes, l->nr_holes, PFN_PHYS(pfn));

	return i < l->nr_holes && l->holes[i].start <= PFN_PHYS(pfn);
}

static bool pfn_is_ram(struct vmcore_cb *cb, unsigned long pfn)
{
	hadump_note_reader();
	if (hadump_pfn_is_given(pfn) || is_hole(pfn))
		return false;
	return !(READ_ONCE(hidden.save_released) && pfn >= hidden.save_first &&
		 pfn < hidden.save_end);
}

static struct vmcore_cb vmcore_cb = { .pfn_is_ram = pfn_is_ram };

/*
 * Linux on Xen has a callback of its own, which asks the hypervisor about every single page whether
 * there is memory behind it (xen_vmcore_pfn_is_ram(), arch/x86/xen/mmu_hvm.c): a hypercall for each
 * 4 KiB, of which the agent has told us the answer already (the holes). It is taken off the list.
 *
 * Nobody exports it, but ours is on the same list, and printk knows names. The list's head is no
 * callback, but has kernel data before it as a callback's link has, and its "name" does not match.
 * Where nothing matches, reading is as slow as it was.
 */
static void drop_xens_callback(void)
{
	struct list_head *at;
	struct vmcore_cb *cb;
	char name[64];
	int i = 0;

	for (at = vmcore_cb.next.prev; at != &vmcore_cb.next && i < 16; at = at->prev, i++) {
		cb = container_of(at, struct vmcore_cb, next);
		snprintf(name, sizeof(name), "%ps", cb->pfn_is_ram);
		if (strcmp(name, "xen_vmcore_pfn_is_ram"))
			continue;
		unregister_vmcore_cb(cb);
		return;
	}
	pr_info("Xen's own check of every page stays; reading /proc/vmcore is slower with it\n");
}

int hadump_vmcore_prepare(struct hadump_dump *dump)
{
	const struct hadump_layout *l = &dump->layout;
	u64 first = l->nr_blocks ? l->blocks[0].start : 0;
	u64 end = l->nr_blocks ? l->blocks[l->nr_blocks - 1].end : 0;
	int rc;

	hidden.layout = l;
	hidden.block_shift = ilog2(l->block_size) - PAGE_SHIFT;
	hidden.first_pfn = PHYS_PFN(first);
	hidden.nr_pfns = PHYS_PFN(end - first);
	hidden.save_first = PHYS_PFN(l->save_area.start);
	hidden.save_end = PHYS_PFN(l->save_area.end);
	hidden.given = kvcalloc(BITS_TO_LONGS((hidden.nr_pfns >> hidden.block_shift) + 1),
				sizeof(long), GFP_KERNEL);
	if (!hidden.given)
		return -ENOMEM;
	/* Before anybody, us included, opens the file; until something is given it hides holes only. */
	register_vmcore_cb(&vmcore_cb);
	rc = hadump_mappings_init();
	if (rc)
		hadump_vmcore_undo();
	return rc;
}

void hadump_vmcore_undo(void)
{
	unregister_vmcore_cb(&vmcore_cb);
	hadump_mappings_exit();
	kvfree(hidden.given);
	hidden.given = NULL;
}

void hadump_vmcore_guard(void)
{
	drop_xens_callback();
}

void hadump_vmcore_hide_block(const struct hadump_block *b)
{
	set_bit((PHYS_PFN(b->start) - hidden.first_pfn) >> hidden.block_shift, hidden.given);
}

void hadump_vmcore_hide_save_area(void)
{
	WRITE_ONCE(hidden.save_released, true);
}

/*
 * Unregistering a callback waits for just that (it synchronises with every reader: SRCU since Linux
 * commit 5039b170369d ("proc/vmcore: fix possible deadlock on concurrent mmap and read"), in v5.18;
 * an rwsem before), and nothing else that modules can call does. So one is registered for nothing.
 * Newer kernels (v7.3) find that unexpected once /proc/vmcore has been opened, and say so, once.
 */
void hadump_vmcore_wait_for_readers(void)
{
	struct vmcore_cb nothing = { };

	register_vmcore_cb(&nothing);
	unregister_vmcore_cb(&nothing);
	hadump_wait_for_mappers();
}
