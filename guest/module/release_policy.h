/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What may be released, what has been, and when a memory block can go back: decisions only. No
 * allocation, no locks, no kernel services; tests/unit/guest compiles this in userspace.
 *
 * Linux takes memory back in memory blocks, the saver releases frames. So each block counts what
 * was asked for, and it is *given* once, when its last frame has been asked for. Frames without
 * memory behind them (holes) need no asking and never count as released already.
 *
 * The invariant: a block is given once, and only when every frame of it that holds memory has been
 * asked for. A block that Linux would not add stays complete but not given; asking for any frame of
 * it again is how that is tried again, and only then may frames be asked for twice.
 */
#ifndef HADUMP_RELEASE_POLICY_H
#define HADUMP_RELEASE_POLICY_H

#include "range.h"

/* Where a block's holes have gone, see moved_holes.h; zeros: they are where the dump node says. */
struct hadump_moved {
	u64 front_end;		/* of the frames at the block's start that holes must leave */
	u64 filled_end;		/* of those that have memory now, from the block's start */
	u64 absent_end;		/* of those behind front_end that have none any more */
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

static inline bool hadump_bit(const u64 *bits, u64 i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* Bytes of a block's bitmap. */
static inline size_t hadump_bitmap_size(const struct hadump_block *b)
{
	return (size_t)((hadump_block_frames(b) + 63) / 64 * sizeof(u64));
}

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

static inline bool hadump_is_held(const struct hadump_layout *l, struct hadump_range r)
{
	u32 i = hadump_range_after(l->held, l->nr_held, r.start);

	return i < l->nr_held && hadump_range_contains(l->held[i], r);
}

/*
 * True when @r has frames that were asked for, and none of them is in a block that waits for another
 * try: then whoever asks is wrong about what has been released.
 */
static inline bool hadump_is_released(const struct hadump_layout *l, struct hadump_range r)
{
	bool any = false;
	u32 i;

	for (i = hadump_block_after(l, r.start);
	     i < l->nr_blocks && l->blocks[i].start < r.end; i++) {
		u64 wanted, asked;

		hadump_count_frames(l, &l->blocks[i], r, &wanted, &asked);
		if (asked && hadump_block_ready(&l->blocks[i]))
			return false;
		any = any || asked;
	}
	return any;
}

/*
 * True when nothing but the save area keeps the dump: every other frame has been asked for, and
 * what could be given has been. Blocks that the save area cuts, and those that Linux can never
 * have, do not count; neither do blocks without any memory, which are given with the save area.
 */
static inline bool hadump_only_save_area_left(const struct hadump_layout *l)
{
	u32 i;

	for (i = 0; i < l->nr_blocks; i++) {
		const struct hadump_block *b = &l->blocks[i];

		if (b->given || !b->nr_wanted)
			continue;
		if (b->nr_asked + b->nr_save < b->nr_wanted)
			return false;
		if (hadump_block_whole(b) && !b->nr_save)
			return false;
	}
	return true;
}

static inline bool hadump_is_save_area(const struct hadump_layout *l, u64 start, u64 length)
{
	return start == l->save_area.start && length == hadump_range_size(l->save_area);
}

/*
 * May @length bytes from @start be released? Changes nothing.
 *
 * Returns 0, or docs/abi/sysfs.md's EINVAL (empty, overflow), EFAULT (not page-aligned), ERANGE
 * (not inside held memory and not the save area), EALREADY, EBUSY (the save area, too early).
 */
static inline int hadump_check_release(const struct hadump_layout *l, u64 start, u64 length)
{
	struct hadump_range r = { start, start + length };

	if (!length || r.end < start)
		return -EINVAL;
	if ((start | length) % HADUMP_FRAME_SIZE)
		return -EFAULT;
	if (hadump_is_save_area(l, start, length)) {
		if (l->save_released)
			return -EALREADY;
		return hadump_only_save_area_left(l) ? 0 : -EBUSY;
	}
	if (!hadump_is_held(l, r))
		return -ERANGE;
	return hadump_is_released(l, r) ? -EALREADY : 0;
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

/* Bytes of old memory that Linux does not have back; holes and the save area do not count. */
static inline u64 hadump_held_bytes(const struct hadump_layout *l)
{
	u64 frames = 0;
	u32 i;

	for (i = 0; i < l->nr_blocks; i++)
		if (!l->blocks[i].given)
			frames += l->blocks[i].nr_wanted - l->blocks[i].nr_save;
	return frames << HADUMP_FRAME_SHIFT;
}

/* Address of the first byte that is still held; 0 when none is. */
static inline u64 hadump_first_held(const struct hadump_layout *l)
{
	u32 i;

	for (i = 0; i < l->nr_blocks; i++) {
		const struct hadump_block *b = &l->blocks[i];

		if (!b->given && b->nr_wanted > b->nr_save)
			return hadump_next_wanted(l, b->start, b->end).start;
	}
	return 0;
}

#endif /* HADUMP_RELEASE_POLICY_H */
