// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registered mode: a contiguous piece of running memory for the agent to save into at a crash.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched.h>

#include "hadump.h"

/*
 * The third argument of alloc_contig_range(): a migrate type, or flags in newer kernels (v7.3), where
 * the number of MIGRATE_MOVABLE is the flag of those who allocate for CMA. No compiler notices.
 */
#ifdef ACR_FLAGS_NONE
#define ALLOC_KIND ACR_FLAGS_NONE
#else
#define ALLOC_KIND MIGRATE_MOVABLE
#endif

/* alloc_contig_range() wants online memory of one zone throughout. */
static bool one_zone(unsigned long pfn, unsigned long end)
{
	struct page *page = pfn_to_online_page(pfn);
	struct zone *zone = page ? page_zone(page) : NULL;

	for (; zone && pfn < end; pfn += pageblock_nr_pages) {
		page = pfn_to_online_page(pfn);
		if (!page || PageReserved(page) || page_zone(page) != zone)
			return false;
	}
	return zone;
}

/*
 * Where RAM ends inside a block, that rest is a boot region after a crash (docs/spec/save-area.md),
 * and no place for what a boot must not touch. The node's end does not tell: Linux may have added
 * memory above RAM since.
 */
static bool in_whole_blocks(unsigned long pfn, unsigned long end)
{
	pfn = ALIGN_DOWN(pfn, PHYS_PFN(HADUMP_BLOCK_SIZE));
	end = ALIGN(end, PHYS_PFN(HADUMP_BLOCK_SIZE));
	for (; pfn < end; pfn += pageblock_nr_pages)
		if (!pfn_to_online_page(pfn))
			return false;
	return true;
}

/*
 * Takes @bytes (whole frames) of running memory at or above @above, aligned to HADUMP_SAVE_ALIGN.
 * Returns -ENOMEM when no such range can be emptied. Tries from the top of memory down, since the
 * kernel itself lives mostly at the bottom.
 */
static int reserve(u64 bytes, u64 above, struct hadump_range *ret)
{
	unsigned long step = PHYS_PFN(HADUMP_SAVE_ALIGN);
	unsigned long nr = PHYS_PFN(bytes), lowest = PHYS_PFN(above);
	unsigned long pfn, top = 0;
	int nid;

	for_each_online_node(nid)
		top = max(top, node_end_pfn(nid));
	if (!nr || nr > top)
		return -ENOMEM;

	for (pfn = ALIGN_DOWN(top - nr, step); pfn >= lowest && pfn; pfn -= step) {
		cond_resched();
		if (!one_zone(pfn, pfn + nr) || !in_whole_blocks(pfn, pfn + nr) ||
		    alloc_contig_range(pfn, pfn + nr, ALLOC_KIND, GFP_KERNEL | __GFP_NOWARN))
			continue;
		ret->start = PFN_PHYS((u64)pfn);
		ret->end = ret->start + PFN_PHYS((u64)nr);
		return 0;
	}
	return -ENOMEM;
}

static void unreserve(struct hadump_range reserved)
{
	free_contig_range(PHYS_PFN(reserved.start), PHYS_PFN(hadump_range_size(reserved)));
}

/* Each try moves memory about; what was in the way may be gone by the next one. */
#define RETRY_FIRST (5 * HZ)
#define RETRY_MOST (3600 * HZ)

static void note_missing(struct hadump_reservation *r, u64 bytes)
{
	if (bytes == r->missing) {
		r->retry_wait = min_t(unsigned long, r->retry_wait * 2, RETRY_MOST);
	} else {
		pr_warn("cannot reserve %llu bytes, using mode added until it can\n", bytes);
		r->retry_wait = RETRY_FIRST;
	}
	r->missing = bytes;
	r->retry_at = jiffies + r->retry_wait;
}

void hadump_reservation_update(struct hadump_reservation *r, u64 bytes, u64 above)
{
	if (bytes < HADUMP_MAX_ADDRESS)
		bytes = round_up(bytes, PAGE_SIZE);
	if (bytes && bytes == r->missing && time_before(jiffies, r->retry_at))
		return;
	if (bytes == hadump_range_size(r->range)) {
		r->missing = 0;
		return;
	}
	if (hadump_range_size(r->range))
		unreserve(r->range);
	r->range = (struct hadump_range){ };
	if (bytes >= HADUMP_MAX_ADDRESS || (bytes && reserve(bytes, above, &r->range))) {
		note_missing(r, bytes);
		return;
	}
	r->missing = 0;
	if (bytes)
		pr_info("save area reserved: %#llx-%#llx\n", r->range.start, r->range.end);
}
