/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Old memory as ranges, and the memory blocks that contain it. No allocation, no locks, no kernel
 * services; tests/unit/guest compiles this in userspace.
 *
 * Linux takes memory back in memory blocks, the saver releases frames. So each block counts what
 * was asked for (asked.h), and it is given once, when its last frame has been asked for. Frames
 * without memory (holes) need no asking.
 */
#ifndef HADUMP_LAYOUT_H
#define HADUMP_LAYOUT_H

#include "range_list.h"

/* Where a block's holes have gone, see moved_holes.h; zeros: they are where the dump node says. */
struct hadump_moved {
	u64 front_end;		/* of the frames at the block's start that holes must leave */
	u64 filled_end;		/* of those that have memory now, from the block's start */
	u64 absent_end;		/* of those after front_end that have none any more */
};

/* One memory block of the running kernel that contains old memory. Protected by hadump_lock. */
struct hadump_block {
	u64 start, end;		/* bytes, [start, end) */
	u64 nr_ours;		/* frames that are old memory, holes included */
	u64 nr_wanted;		/* frames that must be asked for: ours without holes */
	u64 nr_save;		/* those of nr_wanted that are a registered save area */
	u64 nr_asked;		/* at most nr_wanted */
	u64 *asked;		/* bit i: frame i was asked for; NULL when none or all were */
	bool given;		/* Linux has it */
	struct hadump_moved moved;
};

struct hadump_layout {
	/* Each ascending, disjoint; neighbours that touch are merged. */
	const struct hadump_range *held;	/* what a write may release */
	const struct hadump_range *ours;	/* held, and a registered save area */
	const struct hadump_range *holes;
	u32 nr_held, nr_ours, nr_holes;

	struct hadump_range save_area;
	bool save_is_ram;		/* registered mode: it goes back to Linux, too */
	bool save_released;

	struct hadump_block *blocks;	/* ascending */
	u32 nr_blocks;
	u64 block_size;
	u64 struct_bytes;		/* whole frames: what the struct pages of a block take */
};

static inline u64 hadump_block_frames(const struct hadump_block *b)
{
	return (b->end - b->start) >> HADUMP_FRAME_SHIFT;
}

/*
 * The next run of frames from @pos on, before @end, that are ours and no hole.
 * Returns an empty range at @end when there is none.
 */
static inline struct hadump_range hadump_next_wanted(const struct hadump_layout *l, u64 pos,
						     u64 end)
{
	struct hadump_range run = { end, end };
	u32 i, h;

	for (;;) {
		i = hadump_range_after(l->ours, l->nr_ours, pos);
		if (i == l->nr_ours || l->ours[i].start >= end)
			return run;
		if (l->ours[i].start > pos)
			pos = l->ours[i].start;
		h = hadump_range_after(l->holes, l->nr_holes, pos);
		if (h == l->nr_holes || l->holes[h].start > pos)
			break;
		pos = l->holes[h].end;
		if (pos >= end)
			return run;
	}
	run.start = pos;
	run.end = l->ours[i].end < end ? l->ours[i].end : end;
	if (h < l->nr_holes && l->holes[h].start < run.end)
		run.end = l->holes[h].start;
	return run;
}

/* How many blocks the layout's ranges touch. */
static inline u32 hadump_count_blocks(const struct hadump_layout *l)
{
	u64 next = 0;	/* first block that has not been counted */
	u32 i, nr = 0;

	for (i = 0; i < l->nr_ours; i++) {
		u64 first = l->ours[i].start / l->block_size;
		u64 last = (l->ours[i].end - 1) / l->block_size;

		if (first < next)
			first = next;
		if (first <= last)
			nr += (u32)(last - first + 1);
		next = last + 1;
	}
	return nr;
}

/* Fills l->blocks, which has room for hadump_count_blocks() of them and is zeroed. */
static inline void hadump_fill_blocks(struct hadump_layout *l)
{
	u64 pos = 0;
	u32 i, nr = 0;

	for (i = 0; i < l->nr_ours; i++) {
		if (pos < l->ours[i].start)
			pos = l->ours[i].start;
		while (pos < l->ours[i].end) {
			struct hadump_block *b = &l->blocks[nr++];
			struct hadump_range r;
			u64 holes;

			b->start = pos - pos % l->block_size;
			b->end = b->start + l->block_size;
			r.start = b->start;
			r.end = b->end;
			holes = hadump_common_bytes(l->holes, l->nr_holes, r);
			b->nr_ours = hadump_common_bytes(l->ours, l->nr_ours, r) >>
				     HADUMP_FRAME_SHIFT;
			b->nr_wanted = b->nr_ours - (holes >> HADUMP_FRAME_SHIFT);
			if (l->save_is_ram)
				b->nr_save = hadump_range_size(hadump_range_common(r, l->save_area))
					     >> HADUMP_FRAME_SHIFT;
			pos = b->end;
		}
	}
	l->nr_blocks = nr;
}

/* Index of the first block that ends after @pos; nr_blocks when there is none. */
static inline u32 hadump_block_after(const struct hadump_layout *l, u64 pos)
{
	u32 low = 0, high = l->nr_blocks;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (l->blocks[middle].end <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* False: the block reaches beyond our memory, so Linux can never have it as a whole. */
static inline bool hadump_block_whole(const struct hadump_block *b)
{
	return b->nr_ours == hadump_block_frames(b);
}

#endif /* HADUMP_LAYOUT_H */
