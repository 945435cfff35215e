/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is reported about held memory: the state of each frame, and sums. Decisions only, as layout.h.
 */
#ifndef HADUMP_REGION_STATE_H
#define HADUMP_REGION_STATE_H

#include "asked.h"

enum hadump_region_state {
	HADUMP_REGION_NONE,	/* nothing of the dump's */
	HADUMP_REGION_WINDOW,
	HADUMP_REGION_HELD,
	HADUMP_REGION_PARTIAL,	/* asked for, but its block is not complete */
	HADUMP_REGION_RELEASED,
	HADUMP_REGION_HOLE,
	HADUMP_REGION_SAVE_AREA,
};

/*
 * State of the frame at @pos, and in *end where this state may end (one run of equal frames may be
 * reported in several pieces). At HADUMP_REGION_NONE, *end is where our memory goes on, or U64's
 * maximum. Knows held memory, holes and the save area; the window and what earlier boots released
 * are not this layout's.
 */
static inline enum hadump_region_state hadump_state_at(const struct hadump_layout *l, u64 pos,
						       u64 *end)
{
	const struct hadump_block *b;
	struct hadump_range run;
	u64 i, last;
	u32 n;
	bool asked;

	*end = ~0ULL;
	if (pos < l->save_area.start) {
		*end = l->save_area.start;
	} else if (pos < l->save_area.end && !l->save_is_ram) {
		*end = l->save_area.end;
		return l->save_released ? HADUMP_REGION_NONE : HADUMP_REGION_SAVE_AREA;
	}

	n = hadump_range_after(l->ours, l->nr_ours, pos);
	if (n == l->nr_ours)
		return HADUMP_REGION_NONE;
	if (l->ours[n].start > pos) {
		if (l->ours[n].start < *end)
			*end = l->ours[n].start;
		return HADUMP_REGION_NONE;
	}

	b = &l->blocks[hadump_block_after(l, pos)];
	if (l->ours[n].end < *end)
		*end = l->ours[n].end;
	if (b->end < *end)
		*end = b->end;
	if (b->given)
		return HADUMP_REGION_RELEASED;
	if (l->save_is_ram && !l->save_released && pos >= l->save_area.start &&
	    pos < l->save_area.end) {
		if (l->save_area.end < *end)
			*end = l->save_area.end;
		return HADUMP_REGION_SAVE_AREA;
	}

	run = hadump_next_wanted(l, pos, *end);
	if (run.start > pos) {
		*end = run.start;
		return HADUMP_REGION_HOLE;
	}
	*end = run.end;
	if (!b->asked)
		return b->nr_asked ? HADUMP_REGION_PARTIAL : HADUMP_REGION_HELD;
	i = (pos - b->start) >> HADUMP_FRAME_SHIFT;
	last = (*end - b->start) >> HADUMP_FRAME_SHIFT;
	asked = hadump_bit(b->asked, i);
	while (i < last && hadump_bit(b->asked, i) == asked)
		i++;
	*end = b->start + (i << HADUMP_FRAME_SHIFT);
	return asked ? HADUMP_REGION_PARTIAL : HADUMP_REGION_HELD;
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

#endif /* HADUMP_REGION_STATE_H */
