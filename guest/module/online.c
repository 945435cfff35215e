// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps released memory out of Xen's balloon.
 *
 * The balloon driver owns Linux's only online_page_callback, and its xen_online_page() takes every
 * page that comes online as ballooned out. Old memory is populated already, so its pages must go to
 * generic_online_page(); only holes belong into the balloon. Two ways:
 *
 * - A kprobe at xen_online_page() tells them apart. No hypercall, and Xen's large mappings stay
 *   whole.
 * - Without kprobes: the frames are returned to Xen first, so that the balloon driver is right
 *   about them, and it populates them again, frame by frame.
 *
 * Without Xen there is no callback and nothing to do.
 *
 * Accounts: the balloon driver knows the memory it found at boot (current_pages) and follows
 * memory/target minus a difference that it computed once, from static-max and the memory at boot.
 * So memory that comes back must not be counted in current_pages at all: the target would stay
 * behind it, and the driver would balloon it out. Holes are what it must count, as frames that are
 * missing: current_pages and target_pages both go down by them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <xen/xen.h>

#include "hadump.h"
#include "moved_holes.h"
#include "refusal.h"

const char *hadump_refusal(void)
{
	return hadump_why_not(xen_pv_domain(), IS_ENABLED(CONFIG_XEN_BALLOON_MEMORY_HOTPLUG),
			      hadump_dump ? &hadump_dump->layout : NULL);
}

#if IS_ENABLED(CONFIG_XEN_BALLOON_MEMORY_HOTPLUG)

#include <linux/bitmap.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <xen/balloon.h>

static bool populate;
module_param(populate, bool, 0444);
MODULE_PARM_DESC(populate, "give released frames to Xen and populate them again, without a kprobe");

static enum {
	WAY_UNKNOWN,
	WAY_NOTHING,	/* no Xen */
	WAY_KPROBE,
	WAY_POPULATE,
} way;	/* protected by hadump_lock */

/*
 * Bit i: block i of the layout has been online once. Its holes are in the balloon from then on; a
 * block can go offline again only when all of them have been populated, so that it has none the
 * second time. Written by the memory notifier, read by the online callback; both run below the
 * memory hotplug lock.
 */
static unsigned long *was_online;

/* The task that puts holes into the balloon through the probed function; it must be let pass. */
static struct task_struct *passing;

/* The kprobe's address is after the ENDBR64 of kernels with indirect branch tracking. */
#define ENDBR64 0xfa1e0ff3
#define ENDBR64_SIZE 4

static struct kprobe probe;

static online_page_callback_t original_callback(void)
{
	unsigned long address = (unsigned long)probe.addr;

	if (*(u32 *)(address - ENDBR64_SIZE) == ENDBR64)
		address -= ENDBR64_SIZE;
	return (online_page_callback_t)address;
}

/*
 * Not atomic with what the balloon thread does under its mutex, which is not exported. The thread
 * changes current_pages only while it works off a difference to target_pages, and target_pages only
 * changes when the toolstack says so; during a dump neither is the case.
 */
static void account_holes(u64 frames)
{
	balloon_stats.current_pages -= frames;
	balloon_stats.target_pages -= frames;
}

/*
 * In place of xen_online_page() for old memory; runs below the memory hotplug lock, as that does.
 */
static void online_page(struct page *page, unsigned int order)
{
	const struct hadump_layout *l = &hadump_dump->layout;
	struct hadump_range left = { PFN_PHYS((u64)page_to_pfn(page)), 0 }, piece;
	u32 block = hadump_block_after(l, left.start);
	u64 holes = 0;
	bool hole;

	if (!l->nr_holes || test_bit(block, was_online)) {
		generic_online_page(page, order);
		return;
	}
	left.end = left.start + (PAGE_SIZE << order);
	for (; left.start < left.end; left.start = piece.end) {
		unsigned int n;

		piece = hadump_next_piece(l, &l->blocks[block], left, &hole);
		page = pfn_to_page(PHYS_PFN(piece.start));
		n = ilog2(hadump_range_size(piece)) - PAGE_SHIFT;
		if (!hole) {
			generic_online_page(page, n);
			continue;
		}
		WRITE_ONCE(passing, current);
		original_callback()(page, n);
		WRITE_ONCE(passing, NULL);
		holes += 1ULL << n;
	}
	account_holes(holes);
}

static int redirect(struct kprobe *p, struct pt_regs *regs)
{
	struct page *page = (struct page *)regs_get_kernel_argument(regs, 0);

	if (!hadump_pfn_is_given(page_to_pfn(page)) || READ_ONCE(passing) == current)
		return 0;
	instruction_pointer_set(regs, (unsigned long)online_page);
	return 1;	/* the instruction pointer has been changed */
}

/*
 * Its presence is what allows redirect() to change the instruction pointer: no jump optimisation.
 */
static void no_optimisation(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = {
	.symbol_name = "xen_online_page",
	.pre_handler = redirect,
	.post_handler = no_optimisation,
};

static int note_online(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct memory_notify *memory = data;
	const struct hadump_layout *l = &hadump_dump->layout;
	u64 start = PFN_PHYS((u64)memory->start_pfn);
	u64 end = start + PFN_PHYS((u64)memory->nr_pages);
	u32 i;

	if (action == MEM_ONLINE)
		for (i = hadump_block_after(l, start);
		     i < l->nr_blocks && l->blocks[i].start < end; i++)
			set_bit(i, was_online);
	return NOTIFY_OK;
}

static struct notifier_block online_notifier = { .notifier_call = note_online };

static int start_kprobe(void)
{
	int rc;

	was_online = kvcalloc(BITS_TO_LONGS(hadump_dump->layout.nr_blocks + 1), sizeof(long),
			      GFP_KERNEL);
	if (!was_online)
		return -ENOMEM;
	rc = register_memory_notifier(&online_notifier);
	if (rc)
		return rc;
	rc = register_kprobe(&probe);
	if (rc)
		unregister_memory_notifier(&online_notifier);
	return rc;
}

/*
 * For each block, how many frames Xen has got of it in the populate way. Kept when Linux refuses the
 * block: the next try must not return them again. Protected by hadump_lock.
 */
static u64 *returned;

int hadump_online_prepare(void)
{
	int rc;

	if (way != WAY_UNKNOWN)
		return 0;
	if (hadump_refusal())
		return -EOPNOTSUPP;
	if (!xen_domain()) {
		way = WAY_NOTHING;
		return 0;
	}
	rc = populate ? -EOPNOTSUPP : start_kprobe();
	if (rc) {
		returned = kvcalloc(hadump_dump->layout.nr_blocks + 1, sizeof(*returned),
				    GFP_KERNEL);
		if (!returned)
			return -ENOMEM;
	}
	way = rc ? WAY_POPULATE : WAY_KPROBE;
	if (rc && !populate)
		pr_info("no kprobe at %s (%d): memory goes back through Xen's balloon\n",
			probe.symbol_name, rc);
	return 0;
}

bool hadump_online_keeps_frames(void)
{
	return way != WAY_POPULATE;
}

int hadump_before_add(struct hadump_layout *l, struct hadump_group g)
{
	int rc = 0;
	u32 i;

	for (i = g.first; i < g.end && !rc; i++) {
		struct hadump_block *b = &l->blocks[i];

		if (way == WAY_POPULATE && !returned[i] && b->nr_wanted)
			rc = hadump_return_block(l, b, &returned[i]);
		if (way == WAY_KPROBE && !b->nr_save && !b->moved.front_end)
			hadump_move_holes(l, b, b->start + l->struct_bytes);
	}
	return rc;
}

void hadump_after_add(const struct hadump_layout *l, struct hadump_group g)
{
	u32 i;

	if (way != WAY_POPULATE)
		return;
	for (i = g.first; i < g.end; i++) {
		const struct hadump_block *b = &l->blocks[i];

		account_holes(hadump_block_frames(b) - b->nr_wanted);
		balloon_stats.current_pages -= returned[i];
	}
	/*
	 * The driver sees that it has less than its target, and populates what is in the balloon.
	 */
	balloon_set_new_target(balloon_stats.target_pages);
}

#else /* no callback to get around */

int hadump_online_prepare(void)
{
	return hadump_refusal() ? -EOPNOTSUPP : 0;
}

bool hadump_online_keeps_frames(void)
{
	return true;
}

int hadump_before_add(struct hadump_layout *l, struct hadump_group g)
{
	return 0;
}

void hadump_after_add(const struct hadump_layout *l, struct hadump_group g)
{
}

#endif
