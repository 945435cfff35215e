/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A walk over a flattened device tree (Devicetree Specification 0.4, chapter 5), which need not be
 * well formed. No allocation, no kernel services: tests/unit/guest compiles it in userspace.
 */
#ifndef HADUMP_FDT_WALK_H
#define HADUMP_FDT_WALK_H

#ifdef __KERNEL__
#include <linux/string.h>
#include <linux/types.h>
#else
#include <string.h>
#endif

#include "range.h"

/* A property of the node. */
struct hadump_prop {
	const u8 *data;		/* NULL: not there */
	u32 length;		/* bytes */
};

static inline u32 be16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static inline u32 be32(const u8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static inline u64 be64(const u8 *p)
{
	return (u64)be32(p) << 32 | be32(p + 4);
}

/*
 * Size of the tree that starts with the given header.
 *
 * @header: 40 bytes.
 * Returns 0 when it is not a flattened tree of version 17, or larger than HADUMP_MAX_NODE_SIZE.
 */
u32 hadump_tree_size(const void *header);

/*
 * Walks the whole tree and collects the properties of /dump-kernel.
 *
 * @tree, @size: not trusted; every offset and length inside is checked before use.
 * @names, @props, @nr: the names that are looked for, and where what is found is put. Entries of
 *	@props must be zero before; they point into @tree.
 * Returns NULL, or a sentence fragment that says what is wrong.
 */
const char *hadump_fdt_collect(const void *tree, u32 size, const char *const *names,
			       struct hadump_prop *props, int nr);

#endif /* HADUMP_FDT_WALK_H */
