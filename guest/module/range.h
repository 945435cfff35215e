/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Half-open ranges of guest-physical bytes. Compiled into the module and into userspace tests.
 */
#ifndef HADUMP_RANGE_H
#define HADUMP_RANGE_H

#include "hadump_abi.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#endif

#define HADUMP_FRAME_SHIFT 12
#define HADUMP_FRAME_SIZE (1ULL << HADUMP_FRAME_SHIFT)

struct hadump_range {
	u64 start;
	u64 end;	/* excluded; start == end: empty */
};

static inline u64 hadump_range_size(struct hadump_range r)
{
	return r.end - r.start;
}

/* True when all of @inner lies in @outer. */
static inline bool hadump_range_contains(struct hadump_range outer, struct hadump_range inner)
{
	return inner.start >= outer.start && inner.end <= outer.end;
}

/* What the two have in common; empty (start == end) when they are disjoint. */
static inline struct hadump_range hadump_range_common(struct hadump_range a, struct hadump_range b)
{
	struct hadump_range r;

	r.start = a.start > b.start ? a.start : b.start;
	r.end = a.end < b.end ? a.end : b.end;
	if (r.end < r.start)
		r.end = r.start;
	return r;
}

static inline bool hadump_range_overlaps(struct hadump_range a, struct hadump_range b)
{
	return hadump_range_size(hadump_range_common(a, b)) != 0;
}

#endif /* HADUMP_RANGE_H */
