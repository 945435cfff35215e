// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames of old memory that go to Xen, and others that come back. Xen does not clear what a living
 * domain gives it, and hands it to the next domain as it is; so nothing leaves before it is zeroed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <xen/interface/xen.h>
#include <xen/mem-reservation.h>

#include "hadump.h"
#include "moved_holes.h"

/* Frames of one hypercall. */
#define BATCH 512

/*
 * Zeroes @nr frames, ascending. They are not in the direct map, since their block has not been added
 * yet, so they get a mapping of their own: one for all of them, from a boundary where the kernel can
 * use large pages. What lies between them is mapped, too, and not touched.
 */
static int clear_frames(const xen_pfn_t *frames, int nr)
{
	u64 start = ALIGN_DOWN(PFN_PHYS((u64)frames[0]), PMD_SIZE);
	u64 end = PFN_PHYS((u64)frames[nr - 1] + 1);
	void *mapped = memremap(start, end - start, MEMREMAP_WB);
	int i;

	if (!mapped)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		memset(mapped + (PFN_PHYS((u64)frames[i]) - start), 0, PAGE_SIZE);
	memunmap(mapped);
	cond_resched();
	return 0;
}

static int for_each_batch(const struct hadump_layout *l, const struct hadump_block *b,
			  int (*act)(xen_pfn_t *frames, int nr, void *data), void *data)
{
	xen_pfn_t *frames = kmalloc_array(BATCH, sizeof(*frames), GFP_KERNEL);
	u64 pos = b->start;
	int nr, rc = frames ? 0 : -ENOMEM;

	while (!rc) {
		nr = hadump_list_frames(l, &pos, b->end, false, frames, BATCH);
		if (!nr)
			break;
		rc = act(frames, nr, data);
	}
	kfree(frames);
	return rc;
}

static int clear_batch(xen_pfn_t *frames, int nr, void *data)
{
	return clear_frames(frames, nr);
}

/* Stops at the first frame that Xen does not take. */
static int return_batch(xen_pfn_t *frames, int nr, void *data)
{
	int taken = max(xenmem_reservation_decrease(nr, frames), 0);

	*(u64 *)data += taken;
	return taken == nr ? 0 : -EIO;
}

int hadump_return_block(const struct hadump_layout *l, const struct hadump_block *b, u64 *returned)
{
	/* All is cleared before anything goes, so that a failure leaves the block as it was. */
	int rc = for_each_batch(l, b, clear_batch, NULL);

	if (rc)
		return rc;
	rc = for_each_batch(l, b, return_batch, returned);
	if (rc)
		pr_warn("%#llx-%#llx: Xen took back %llu of %llu frames, continuing\n",
			b->start, b->end, *returned, b->nr_wanted);
	return *returned ? 0 : rc;
}

/*
 * One batch of frames from after the front for as many holes in it. Xen gets frames before it is
 * asked for others: the domain may be at its limit, and so may the host. Returns how many holes were
 * filled.
 */
static int exchange(struct hadump_block *b, xen_pfn_t *front, xen_pfn_t *behind, int nr)
{
	int taken = clear_frames(behind, nr) ? 0 : max(xenmem_reservation_decrease(nr, behind), 0);
	int filled = taken ? max(xenmem_reservation_increase(taken, front), 0) : 0;

	if (taken < nr)
		b->moved.absent_end = PFN_PHYS((u64)behind[taken]);
	if (filled < nr) {
		b->moved.filled_end = PFN_PHYS((u64)front[filled]);
		pr_warn("%#llx-%#llx: Xen took %d of %d frames and gave %d in exchange, so struct pages lie elsewhere\n",
			b->start, b->end, taken, nr, filled);
	}
	return filled;
}

void hadump_move_holes(const struct hadump_layout *l, struct hadump_block *b, u64 front_end)
{
	u64 left = hadump_holes_to_move(l, b, front_end), hole = b->start, frame = front_end;
	xen_pfn_t *front = kmalloc_array(BATCH, sizeof(*front), GFP_KERNEL);
	xen_pfn_t *behind = kmalloc_array(BATCH, sizeof(*behind), GFP_KERNEL);
	int nr;

	if (left && front && behind)
		b->moved = (struct hadump_moved){ front_end, b->start, front_end };
	while (left && front && behind) {
		nr = hadump_list_frames(l, &hole, front_end, true, front, BATCH);
		hadump_list_frames(l, &frame, b->end, false, behind, nr);
		b->moved.absent_end = frame;
		b->moved.filled_end = hole;
		if (exchange(b, front, behind, nr) < nr)
			break;
		left -= nr;
	}
	kfree(front);
	kfree(behind);
}
