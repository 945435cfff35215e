/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which frames of a block have memory when it is given to Linux. Decisions only, as
 * release_policy.h.
 *
 * A block can hold its own struct pages only where its first frames are all there. Where the guest's
 * balloon has left holes in them, the holes are moved: frames from after it go to Xen, and Xen puts
 * memory at the holes. Nobody's content is lost, since all of the block is safe by then.
 *
 * The holes are taken in ascending order, and so are the frames after the front. Thus three
 * addresses tell the state, after any number of frames, and the dump's own list of holes stays as it
 * is: others read it without a lock.
 */
#ifndef HADUMP_MOVED_HOLES_H
#define HADUMP_MOVED_HOLES_H

#include "layout.h"

/* Frames in [pos, end) of the layout that are wanted: ours, and no hole by the dump node. */
static inline u64 hadump_count_wanted(const struct hadump_layout *l, u64 pos, u64 end)
{
	struct hadump_range run;
	u64 bytes = 0;

	for (run = hadump_next_wanted(l, pos, end); run.start < run.end;
	     run = hadump_next_wanted(l, run.end, end))
		bytes += hadump_range_size(run);
	return bytes >> HADUMP_FRAME_SHIFT;
}

/*
 * Frames to be moved so that [b->start, front_end) has no holes: 0 where it has none, or where the
 * block has not enough memory after it.
 */
static inline u64 hadump_holes_to_move(const struct hadump_layout *l, const struct hadump_block *b,
				       u64 front_end)
{
	u64 holes = ((front_end - b->start) >> HADUMP_FRAME_SHIFT) -
		    hadump_count_wanted(l, b->start, front_end);

	return holes <= hadump_count_wanted(l, front_end, b->end) ? holes : 0;
}

/*
 * Writes the frame numbers of at most @max holes, or wanted frames, in [*pos, end) and sets *pos
 * after the last one. Returns how many.
 */
static inline u32 hadump_list_frames(const struct hadump_layout *l, u64 *pos, u64 end, bool holes,
				     unsigned long *numbers, u32 max)
{
	u32 nr = 0;

	while (*pos < end && nr < max) {
		struct hadump_range run = hadump_next_wanted(l, *pos, end);
		u64 stop = holes ? run.start : run.end;

		if (!holes)
			*pos = run.start;
		for (; *pos < stop && nr < max; *pos += HADUMP_FRAME_SIZE)
			numbers[nr++] = *pos >> HADUMP_FRAME_SHIFT;
		if (holes && *pos == run.start)
			*pos = run.end;
	}
	return nr;
}

/*
 * The next run of frames of block @b from @pos on, before @end, that have memory now. Returns an
 * empty range at @end when there is none. Neighbouring runs may touch.
 */
static inline struct hadump_range hadump_next_present(const struct hadump_layout *l,
						      const struct hadump_block *b, u64 pos, u64 end)
{
	const struct hadump_moved *m = &b->moved;
	struct hadump_range run = { pos, end };

	if (pos < m->filled_end) {
		if (m->filled_end < end)
			run.end = m->filled_end;
		return run;
	}
	if (pos < m->front_end) {
		run = hadump_next_wanted(l, pos, m->front_end < end ? m->front_end : end);
		if (run.start < run.end)
			return run;
		pos = run.end;
	}
	if (pos >= m->front_end && pos < m->absent_end)
		pos = m->absent_end;
	return hadump_next_wanted(l, pos < end ? pos : end, end);
}

/* True when all frames of @r, in block @b, have memory now. */
static inline bool hadump_all_present(const struct hadump_layout *l, const struct hadump_block *b,
				      struct hadump_range r)
{
	struct hadump_range run;

	for (; r.start < r.end; r.start = run.end) {
		run = hadump_next_present(l, b, r.start, r.end);
		if (run.start > r.start)
			return false;
	}
	return true;
}

/*
 * The first piece of @r, which is in block @b and ours, that can be given away at once: all of one
 * kind, a power of two of frames, aligned to its size. *hole says which kind. Never empty unless @r
 * is.
 */
static inline struct hadump_range hadump_next_piece(const struct hadump_layout *l,
						    const struct hadump_block *b,
						    struct hadump_range r, bool *hole)
{
	struct hadump_range run = hadump_next_present(l, b, r.start, r.end), piece = r;
	u64 size = HADUMP_FRAME_SIZE;

	*hole = run.start > r.start;
	piece.end = *hole ? run.start : run.end;
	if (piece.start == piece.end)
		return piece;
	while (!(piece.start % (size * 2)) && size * 2 <= hadump_range_size(piece))
		size *= 2;
	piece.end = piece.start + size;
	return piece;
}

#endif /* HADUMP_MOVED_HOLES_H */
