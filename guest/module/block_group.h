/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which memory blocks are given to Linux in one piece. Decisions only, as layout.h.
 */
#ifndef HADUMP_BLOCK_GROUP_H
#define HADUMP_BLOCK_GROUP_H

#include "asked.h"

/* Blocks by their indexes, the end excluded. */
struct hadump_group {
	u32 first, end;
};

static inline bool hadump_touches_save_area(const struct hadump_layout *l, u32 i)
{
	return i < l->nr_blocks && l->blocks[i].nr_save && hadump_block_whole(&l->blocks[i]);
}

/*
 * The blocks that must not hold their own struct pages, which Linux does not move: the next
 * registered save area must find room where this one was. Those of the first block it touches lie
 * before that room; from the second block on, as many must be without them as it needs. Where that
 * is more than there are, all of them. Empty without a registered save area.
 */
static inline struct hadump_group hadump_uncut_group(const struct hadump_layout *l)
{
	u64 needed = hadump_range_size(l->save_area) + l->struct_bytes;
	u32 nr = (u32)((needed + l->block_size - 1) / l->block_size);
	u32 end, first = hadump_block_after(l, l->save_area.start);

	while (first < l->nr_blocks && l->blocks[first].start < l->save_area.end &&
	       !hadump_touches_save_area(l, first))
		first++;
	end = first;
	while (hadump_touches_save_area(l, end) &&
	       (end == first || l->blocks[end].start == l->blocks[end - 1].end))
		end++;
	if (end - first < nr)
		return (struct hadump_group){ first, end };
	return (struct hadump_group){ first + 1, first + nr };
}

static inline bool hadump_is_uncut(const struct hadump_layout *l, u32 i)
{
	struct hadump_group g;

	if (!hadump_touches_save_area(l, i))	/* cheap, and true for nearly all */
		return false;
	g = hadump_uncut_group(l);
	return i >= g.first && i < g.end;
}

/*
 * The group of block @i; empty when there is no such block. Blocks without struct pages of their own
 * are given together, see memory.c; every other block by itself.
 */
static inline struct hadump_group hadump_group_of(const struct hadump_layout *l, u32 i)
{
	if (hadump_is_uncut(l, i))
		return hadump_uncut_group(l);
	return (struct hadump_group){ i, i < l->nr_blocks ? i + 1 : i };
}

static inline struct hadump_range hadump_group_range(const struct hadump_layout *l,
						     struct hadump_group g)
{
	struct hadump_range r = { l->blocks[g.first].start, l->blocks[g.end - 1].end };

	return r;
}

static inline bool hadump_group_ready(const struct hadump_layout *l, struct hadump_group g)
{
	u32 i;

	for (i = g.first; i < g.end; i++)
		if (!hadump_block_ready(&l->blocks[i]))
			return false;
	return true;
}

/*
 * The first group that touches @r, and the one after @g that does; empty when there is none.
 */
static inline struct hadump_group hadump_first_group(const struct hadump_layout *l,
						     struct hadump_range r)
{
	struct hadump_group g = hadump_group_of(l, hadump_block_after(l, r.start));

	if (g.first < g.end && l->blocks[g.first].start >= r.end)
		g.end = g.first;
	return g;
}

static inline struct hadump_group hadump_next_group(const struct hadump_layout *l,
						    struct hadump_range r, struct hadump_group g)
{
	r.start = l->blocks[g.end - 1].end;
	if (r.start >= r.end)
		return (struct hadump_group){ g.end, g.end };
	return hadump_first_group(l, r);
}

#endif /* HADUMP_BLOCK_GROUP_H */
