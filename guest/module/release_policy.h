/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What may be released. Decisions only, as layout.h.
 *
 * The invariant: a block is given once, and only when every frame of it that holds memory has been
 * asked for. A block that Linux would not add stays complete but not given; asking for any frame of
 * it again is how that is tried again, and only then may frames be asked for twice. Holes never
 * count as released already.
 */
#ifndef HADUMP_RELEASE_POLICY_H
#define HADUMP_RELEASE_POLICY_H

#include "asked.h"

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

#endif /* HADUMP_RELEASE_POLICY_H */
