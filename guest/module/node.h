/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the dump node; docs/spec/dump-node.md is what is checked here. The kernel's own libfdt is
 * no way to do it: distributors build x86 kernels without CONFIG_OF. No allocation, no kernel
 * services: tests/unit/guest compiles it in userspace.
 */
#ifndef HADUMP_NODE_H
#define HADUMP_NODE_H

#include "range.h"

/* Big-endian u64 tuples inside the tree; valid as long as the tree is. */
struct hadump_list {
	const u8 *data;
	u32 nr;		/* tuples */
	u32 stride;	/* u64s of one tuple: 2, or 3 for boot regions */
};

struct hadump_node {
	u8 dump_id[16];
	bool registered;	/* the save area is the guest's own memory; else it was added */
	u32 boots;
	u64 crash_time;		/* seconds since 1970 */
	struct hadump_range save_area;
	struct hadump_range block_table;
	struct hadump_range elfcorehdr;
	struct hadump_range cpu;
	struct hadump_range hpte;
	struct hadump_range low;	/* copies of the boot regions, first to last */
	struct hadump_list boot_regions;
	struct hadump_list held;
	struct hadump_list holes;
	struct hadump_list released;
};

/* The i-th range of a checked list. */
struct hadump_range hadump_list_range(const struct hadump_list *list, u32 i);

/*
 * Checks everything and fills *node, whose lists point into @tree.
 *
 * @tree, @size: the whole flattened tree; not trusted.
 * @why: set to a sentence fragment, for the log, when the node is bad.
 * Returns 0, or -EINVAL: the node is bad and *node must not be used.
 */
int hadump_node_read(const void *tree, u32 size, struct hadump_node *node, const char **why);

#endif /* HADUMP_NODE_H */
