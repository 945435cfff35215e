// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registered mode: a contiguous piece of running memory for the agent to save into at a crash.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
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
 * memory behind RAM since.
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

/* Tries from the top of memory down, since the kernel itself lives mostly at the bottom. */
int hadump_reserve(u64 bytes, u64 above, struct hadump_range *ret)
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

void hadump_unreserve(struct hadump_range reserved)
{
	free_contig_range(PHYS_PFN(reserved.start), PHYS_PFN(hadump_range_size(reserved)));
}
