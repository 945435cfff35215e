// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dump node's address becomes a hadump_dump: read, checked and laid out. Nothing outside it
 * changes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "asked.h"
#include "fdt_walk.h"
#include "hadump.h"

#define FDT_HEADER_SIZE 40

DEFINE_MUTEX(hadump_lock);
struct hadump_dump *hadump_dump;

/* Copies the node out of the save area. Returns NULL and says why when there is none. */
static void *copy_tree(u64 address, u32 *size)
{
	void *mapped, *copy;

	if (address % HADUMP_FRAME_SIZE || address >= HADUMP_MAX_ADDRESS) {
		pr_err("node %#llx: not the address of a page\n", address);
		return NULL;
	}
	mapped = memremap(address, FDT_HEADER_SIZE, MEMREMAP_WB);
	*size = mapped ? hadump_tree_size(mapped) : 0;
	if (mapped)
		memunmap(mapped);
	if (!*size) {
		pr_err("node %#llx: no flattened tree there\n", address);
		return NULL;
	}

	mapped = memremap(address, *size, MEMREMAP_WB);
	copy = kvmalloc(*size, GFP_KERNEL);
	if (mapped && copy)
		memcpy(copy, mapped, *size);
	if (mapped)
		memunmap(mapped);
	if (mapped && copy)
		return copy;
	kvfree(copy);
	pr_err("node %#llx: cannot be mapped\n", address);
	return NULL;
}

/* A node that is well-formed may still belong to another dump, or to a snapshot not finished. */
static int check_save_header(const struct hadump_node *node)
{
	struct hadump_save_header *header;
	int rc = 0;

	header = memremap(node->save_area.start, sizeof(*header), MEMREMAP_WB);
	if (!header)
		return -ENOMEM;
	if (header->magic != HADUMP_SAVE_MAGIC || header->version != HADUMP_ABI_VERSION ||
	    header->complete != HADUMP_SNAPSHOT_COMPLETE ||
	    memcmp(header->dump_id, node->dump_id, sizeof(header->dump_id))) {
		pr_err("save area %#llx: not the complete save area of this node\n",
		       node->save_area.start);
		rc = -EINVAL;
	}
	memunmap(header);
	return rc;
}

/* The list as an array with room for one more, neighbours merged. */
static struct hadump_range *copy_list(const struct hadump_list *list, u32 *nr)
{
	struct hadump_range *r = kvcalloc(list->nr + 1, sizeof(*r), GFP_KERNEL);
	u32 i;

	if (!r)
		return NULL;
	for (i = 0; i < list->nr; i++)
		r[i] = hadump_list_range(list, i);
	*nr = hadump_merge_ranges(r, list->nr);
	return r;
}

void hadump_free_dump(struct hadump_dump *dump)
{
	if (!dump)
		return;
	if (dump->block_table)
		memunmap(dump->block_table);
	kvfree(dump->block_res);
	kvfree(dump->layout.blocks);
	kvfree(dump->layout.held);
	kvfree(dump->layout.ours);
	kvfree(dump->layout.holes);
	kvfree(dump->tree);
	kfree(dump);
}

static int build_layout(struct hadump_dump *dump)
{
	struct hadump_layout *l = &dump->layout;
	struct hadump_range *held, *ours, *holes;
	u32 i, nr;

	held = copy_list(&dump->node.held, &l->nr_held);
	ours = copy_list(&dump->node.held, &l->nr_ours);
	holes = copy_list(&dump->node.holes, &l->nr_holes);
	l->held = held;
	l->ours = ours;
	l->holes = holes;
	if (!held || !ours || !holes)
		return -ENOMEM;

	l->save_area = dump->node.save_area;
	l->save_is_ram = dump->node.registered;
	if (l->save_is_ram)
		l->nr_ours = hadump_merge_ranges(ours, hadump_insert_range(ours, l->nr_ours,
									   l->save_area));
	l->block_size = memory_block_size_bytes();
	l->struct_bytes = PAGE_ALIGN(PHYS_PFN(l->block_size) * sizeof(struct page));
	nr = hadump_count_blocks(l);
	l->blocks = kvcalloc(nr, sizeof(*l->blocks), GFP_KERNEL);
	dump->block_res = kvcalloc(nr, sizeof(*dump->block_res), GFP_KERNEL);
	if (nr && (!l->blocks || !dump->block_res))
		return -ENOMEM;
	hadump_fill_blocks(l);

	for (i = 0; i < l->nr_blocks; i++)
		if (!hadump_block_whole(&l->blocks[i]))
			pr_warn("%#llx-%#llx: only a part of this memory block is old memory; it cannot come back before the next reboot\n",
				l->blocks[i].start, l->blocks[i].end);
	return 0;
}

int hadump_read_dump(u64 address, struct hadump_dump **ret)
{
	struct hadump_dump *dump = kzalloc(sizeof(*dump), GFP_KERNEL);
	const char *why;
	int rc = -EINVAL;

	if (!dump)
		return -ENOMEM;
	dump->tree = copy_tree(address, &dump->tree_size);
	if (!dump->tree)
		goto bad;
	rc = hadump_node_read(dump->tree, dump->tree_size, &dump->node, &why);
	if (rc) {
		pr_err("node %#llx: %s\n", address, why);
		goto bad;
	}
	rc = check_save_header(&dump->node);
	if (rc)
		goto bad;
	rc = build_layout(dump);
	if (rc)
		goto bad;
	rc = -ENOMEM;
	dump->block_table = memremap(dump->node.block_table.start,
				     hadump_range_size(dump->node.block_table), MEMREMAP_WB);
	if (!dump->block_table)
		goto bad;
	*ret = dump;
	return 0;
bad:
	hadump_free_dump(dump);
	return rc;
}
