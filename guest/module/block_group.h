/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which memory blocks are given to Linux in one piece. Decisions only, as release_policy.h.
 */
#ifndef HADUMP_BLOCK_GROUP_H
#define HADUMP_BLOCK_GROUP_H

#include "release_policy.h"

/* Blocks by their indexes, the end excluded. */
struct hadump_group {
	u32 first, end;
};

/*
 * Whole blocks of a registered save area are given with their neighbours of the same kind, see
 * memory.c; every other block by itself.
 */
static inline bool hadump_has_partners(const struct hadump_layout *l, u32 i)
{
	return i < l->nr_blocks && l->blocks[i].nr_save && hadump_block_whole(&l->blocks[i]);
}

/* The group of block @i; empty when there is no such block. */
static inline struct hadump_group hadump_group_of(const struct hadump_layout *l, u32 i)
{
	struct hadump_group g = { i, i };

	if (i >= l->nr_blocks)
		return g;
	g.end++;
	if (!hadump_has_partners(l, i))
		return g;
	while (g.first && hadump_has_partners(l, g.first - 1) &&
	       l->blocks[g.first - 1].end == l->blocks[g.first].start)
		g.first--;
	while (hadump_has_partners(l, g.end) &&
	       l->blocks[g.end].start == l->blocks[g.end - 1].end)
		g.end++;
	return g;
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
 * The first group that touches @r, and the one behind @g that does; empty when there is none.
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
