/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which frames of a block have been asked for. Decisions only, as layout.h.
 */
#ifndef HADUMP_ASKED_H
#define HADUMP_ASKED_H

#include "layout.h"

static inline bool hadump_bit(const u64 *bits, u64 i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* Bytes of a block's bitmap. */
static inline size_t hadump_bitmap_size(const struct hadump_block *b)
{
	return (size_t)((hadump_block_frames(b) + 63) / 64 * sizeof(u64));
}

static inline bool hadump_block_complete(const struct hadump_block *b)
{
	return b->nr_asked == b->nr_wanted;
}

/* True: it can be given to Linux now. */
static inline bool hadump_block_ready(const struct hadump_block *b)
{
	return !b->given && hadump_block_complete(b) && hadump_block_whole(b);
}

/* Frames of block @b in the wanted run @run that have been asked for. */
static inline u64 hadump_count_asked(const struct hadump_block *b, struct hadump_range run)
{
	u64 i, first, last, n = 0;

	run = hadump_range_common(run, (struct hadump_range){ b->start, b->end });
	if (b->given || (!b->asked && b->nr_asked))
		return hadump_range_size(run) >> HADUMP_FRAME_SHIFT;
	if (!b->asked)
		return 0;
	first = (run.start - b->start) >> HADUMP_FRAME_SHIFT;
	last = (run.end - b->start) >> HADUMP_FRAME_SHIFT;
	for (i = first; i < last; i++)
		n += hadump_bit(b->asked, i);
	return n;
}

/*
 * Counts @r's wanted frames in block @b: *wanted all of them, *asked those asked for before.
 */
static inline void hadump_count_frames(const struct hadump_layout *l, const struct hadump_block *b,
				       struct hadump_range r, u64 *wanted, u64 *asked)
{
	struct hadump_range run;

	*wanted = 0;
	*asked = 0;
	r = hadump_range_common(r, (struct hadump_range){ b->start, b->end });
	for (run = hadump_next_wanted(l, r.start, r.end); run.start < run.end;
	     run = hadump_next_wanted(l, run.end, r.end)) {
		*wanted += hadump_range_size(run) >> HADUMP_FRAME_SHIFT;
		*asked += hadump_count_asked(b, run);
	}
}

/* True when asking for @r needs a bitmap in @b that is not there yet. */
static inline bool hadump_needs_bitmap(const struct hadump_layout *l, const struct hadump_block *b,
				       struct hadump_range r)
{
	u64 wanted, asked;

	hadump_count_frames(l, b, r, &wanted, &asked);
	return !b->given && !b->asked && wanted > asked && wanted < b->nr_wanted;
}

/*
 * Marks @r's frames in block @b as asked for; those that are so already stay so. A bitmap must be
 * there when hadump_needs_bitmap(). Once the block is complete the bitmap is no longer needed, and
 * hadump_take_bitmap() gives it to the caller.
 */
static inline void hadump_ask(const struct hadump_layout *l, struct hadump_block *b,
			      struct hadump_range r)
{
	struct hadump_range run;
	u64 i;

	if (b->given || hadump_block_complete(b))
		return;
	r = hadump_range_common(r, (struct hadump_range){ b->start, b->end });
	for (run = hadump_next_wanted(l, r.start, r.end); run.start < run.end;
	     run = hadump_next_wanted(l, run.end, r.end)) {
		if (!b->asked) {	/* no bitmap needed: this completes the block */
			b->nr_asked += hadump_range_size(run) >> HADUMP_FRAME_SHIFT;
			continue;
		}
		for (i = (run.start - b->start) >> HADUMP_FRAME_SHIFT;
		     i < (run.end - b->start) >> HADUMP_FRAME_SHIFT; i++) {
			if (hadump_bit(b->asked, i))
				continue;
			b->asked[i / 64] |= 1ULL << (i % 64);
			b->nr_asked++;
		}
	}
}

/* The bitmap of a complete block, for the caller to free; else NULL. */
static inline u64 *hadump_take_bitmap(struct hadump_block *b)
{
	u64 *bits = b->asked;

	if (!hadump_block_complete(b))
		return NULL;
	b->asked = NULL;
	return bits;
}

#endif /* HADUMP_ASKED_H */
