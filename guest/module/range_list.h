/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arrays of ranges, ascending and disjoint. No allocation, no kernel services; tests/unit/guest
 * compiles this in userspace.
 */
#ifndef HADUMP_RANGE_LIST_H
#define HADUMP_RANGE_LIST_H

#include "range.h"

/* Merges neighbours that touch; returns the new count. */
static inline u32 hadump_merge_ranges(struct hadump_range *r, u32 nr)
{
	u32 i, kept = 0;

	for (i = 0; i < nr; i++) {
		if (kept && r[kept - 1].end == r[i].start)
			r[kept - 1].end = r[i].end;
		else
			r[kept++] = r[i];
	}
	return kept;
}

/* Inserts a range that overlaps none of the others, keeping the order; @r has room for nr + 1. */
static inline u32 hadump_insert_range(struct hadump_range *r, u32 nr, struct hadump_range one)
{
	u32 i = nr;

	for (; i && r[i - 1].start > one.start; i--)
		r[i] = r[i - 1];
	r[i] = one;
	return nr + 1;
}

/* Index of the first range that ends after @pos; nr when there is none. */
static inline u32 hadump_range_after(const struct hadump_range *r, u32 nr, u64 pos)
{
	u32 low = 0, high = nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (r[middle].end <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Bytes that @r has in common with the list. */
static inline u64 hadump_common_bytes(const struct hadump_range *list, u32 nr,
				      struct hadump_range r)
{
	u64 bytes = 0;
	u32 i;

	for (i = hadump_range_after(list, nr, r.start); i < nr && list[i].start < r.end; i++)
		bytes += hadump_range_size(hadump_range_common(list[i], r));
	return bytes;
}

#endif /* HADUMP_RANGE_LIST_H */
