// SPDX-License-Identifier: GPL-2.0-only
/*
 * The old memory: claimed in the resource tree, and given to Linux block by block.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/slab.h>

#include "hadump.h"

/* ---- claiming ---- */

/*
 * The map entry that marks @r busy. Its type is 6 (disabled), which Linux calls unknown, or 5
 * (unusable): Linux commit 38620fc4e893 ("x86/xen: attempt to inflate the memory balloon on PVH"),
 * in v6.9, turns type 5 into memory for foreign mappings, so the agent uses type 6.
 *
 * The walk takes no lock, since resource_lock is not for modules. It runs once, early in the
 * initramfs; entries of the memory map are never freed.
 */
static struct resource *find_map_entry(struct hadump_range r)
{
	struct resource *entry;

	for (entry = iomem_resource.child; entry; entry = entry->sibling)
		if (entry->start <= r.start && entry->end >= r.end - 1)
			break;
	if (!entry || !(entry->flags & IORESOURCE_BUSY) || !entry->name ||
	    (strcmp(entry->name, "Unusable memory") && strcmp(entry->name, "Unknown E820 type")))
		return NULL;
	return entry;
}

static struct resource *request_inside(struct resource *entry, struct hadump_range r,
				       const char *name)
{
	struct resource *res = kzalloc(sizeof(*res), GFP_KERNEL);

	if (!res)
		return ERR_PTR(-ENOMEM);
	res->name = name;
	res->start = r.start;
	res->end = r.end - 1;
	res->flags = IORESOURCE_MEM | IORESOURCE_BUSY;
	if (request_resource(entry, res)) {
		kfree(res);
		return ERR_PTR(-EBUSY);
	}
	return res;
}

static struct resource *claim_range(struct hadump_range r, const char *name)
{
	struct resource *entry = find_map_entry(r), *res;

	if (!entry) {
		pr_err("%#llx-%#llx: no busy entry of the memory map covers it, so others may have used it\n",
		       r.start, r.end);
		return ERR_PTR(-EBUSY);
	}
	res = request_inside(entry, r, name);
	if (IS_ERR(res))
		pr_err("%#llx-%#llx: cannot be claimed\n", r.start, r.end);
	return res;
}

/* Covers what our children leave of @entry, so that removing it makes nothing free. */
static int fill_gaps(struct resource *entry)
{
	struct resource *child, *filler;
	struct hadump_range gap = { entry->start, 0 };

	for (child = entry->child; gap.start <= entry->end; child = child->sibling) {
		gap.end = child ? child->start : entry->end + 1;
		if (gap.start < gap.end) {
			filler = request_inside(entry, gap, entry->name);
			if (IS_ERR(filler))
				return PTR_ERR(filler);
		}
		if (!child)
			break;
		gap.start = child->end + 1;
	}
	return 0;
}

static bool is_ours(const struct resource *res)
{
	return res->name && !strncmp(res->name, "hadump ", 7);
}

static bool has_claims(const struct resource *entry)
{
	const struct resource *child;

	for (child = entry->child; child; child = child->sibling)
		if (is_ours(child))
			return true;
	return false;
}

/* Releases our children of @entry and the fillers between them, which bear its name. */
static void undo_claims(struct resource *entry)
{
	struct resource *child, *next;

	for (child = entry->child; child; child = next) {
		next = child->sibling;
		if (!is_ours(child) && child->name != entry->name)
			continue;
		release_resource(child);
		kfree(child);
	}
}

/* One resource per range of a group: it is given by the one that covers all of it. */
static int claim_blocks(struct hadump_dump *dump)
{
	struct hadump_layout *l = &dump->layout;
	struct hadump_group g;
	struct resource *res;
	u32 n;

	for (g = hadump_group_of(l, 0); g.first < l->nr_blocks; g = hadump_group_of(l, g.end)) {
		struct hadump_range r = hadump_group_range(l, g);
		bool save = l->save_is_ram && hadump_range_contains(l->save_area, r);

		for (n = hadump_range_after(l->ours, l->nr_ours, r.start);
		     n < l->nr_ours && l->ours[n].start < r.end; n++) {
			res = claim_range(hadump_range_common(l->ours[n], r),
					  save ? "hadump save area" : "hadump held");
			if (IS_ERR(res))
				return PTR_ERR(res);
			dump->block_res[g.first] = res;
		}
	}
	return 0;
}

/*
 * No moment without an owner: our resources are first requested as children of the busy entry; then
 * the entry is removed, which lifts its children to its place under resource_lock.
 */
int hadump_claim(struct hadump_dump *dump)
{
	struct resource *entry, *next;
	int rc = claim_blocks(dump);

	if (!rc && !dump->layout.save_is_ram) {
		dump->save_res = claim_range(dump->layout.save_area, "hadump save area");
		rc = PTR_ERR_OR_ZERO(dump->save_res);
	}
	for (entry = iomem_resource.child; entry && !rc; entry = entry->sibling)
		if (has_claims(entry))
			rc = fill_gaps(entry);

	for (entry = iomem_resource.child; entry; entry = next) {
		next = entry->sibling;
		if (!has_claims(entry))
			continue;
		if (rc)
			undo_claims(entry);
		else
			remove_resource(entry);
	}
	if (!rc)
		hadump_vmcore_guard();
	return rc;
}

/* ---- giving back ---- */

/*
 * The table in the save area, for the agent after another crash. Written before the block is given:
 * a crash between the two loses nothing, since only blocks that were asked for as a whole are
 * marked.
 */
static void mark_released(struct hadump_dump *dump, const struct hadump_block *b)
{
	u64 i;

	if (!dump->block_table)
		return;
	for (i = b->start / HADUMP_BLOCK_SIZE; i < b->end / HADUMP_BLOCK_SIZE; i++)
		WRITE_ONCE(dump->block_table[i], HADUMP_BLOCK_RELEASED);
	wmb();	/* must be in memory before anything of the block changes */
}

static int node_of(u64 start)
{
	int nid = memory_add_physaddr_to_nid(start);

	return nid >= 0 && nid < MAX_NUMNODES && node_online(nid) ? nid : first_online_node;
}

/*
 * The block's own first frames hold its struct pages: a block then adds to MemTotal what it did after
 * a normal boot, and a large machine does not need its small window for them. Only where frames are
 * there and stay; Linux refuses it with -EINVAL unless memory_hotplug.memmap_on_memory is set, which
 * the agent does.
 *
 * Not for blocks where the next registered save area must lie, see block_group.h.
 */
static bool holds_own_struct_pages(const struct hadump_layout *l, u32 i)
{
	const struct hadump_block *b = &l->blocks[i];
	struct hadump_range front = { b->start, b->start + l->struct_bytes };

	return !hadump_is_uncut(l, i) && hadump_online_keeps_frames() &&
	       hadump_all_present(l, b, front);
}

/*
 * Several blocks are added by one call, so that the struct pages of all of them lie somewhere else:
 * one by one, the second block's would be in the first.
 */
static int add_group(const struct hadump_layout *l, struct hadump_group g)
{
	static const char name[] = "System RAM (hadump)";
	struct hadump_range r = hadump_group_range(l, g);
	u64 size = hadump_range_size(r);
	int rc = -EINVAL;

	if (holds_own_struct_pages(l, g.first))
		rc = add_memory_driver_managed(node_of(r.start), r.start, size, name,
					       MHP_MEMMAP_ON_MEMORY);
	if (rc == -EINVAL)
		rc = add_memory_driver_managed(node_of(r.start), r.start, size, name, MHP_NONE);
	return rc;
}

/*
 * As for the claim there is no moment without an owner: add_memory requests the range with
 * __request_region(), which descends into a resource that is not busy (drivers/dax/kmem.c does it
 * this way, too). Its "System RAM" is then our child, and removing ours lifts it.
 */
static int give_group(struct hadump_dump *dump, struct hadump_group g)
{
	struct hadump_layout *l = &dump->layout;
	struct hadump_range r = hadump_group_range(l, g);
	struct resource *res = dump->block_res[g.first];
	u32 i;
	int rc;

	hadump_before_add(l, g);
	res->flags &= ~IORESOURCE_BUSY;
	rc = add_group(l, g);
	if (rc) {
		res->flags |= IORESOURCE_BUSY;
		pr_err("%#llx-%#llx: cannot be added (%d), waits for another try\n", r.start,
		       r.end, rc);
		return rc;
	}
	hadump_after_add(l, g);
	remove_resource(res);
	kfree(res);
	dump->block_res[g.first] = NULL;
	for (i = g.first; i < g.end; i++)
		l->blocks[i].given = true;
	return 0;
}

/*
 * Gives every ready group that @r touches. Goes on after a failure; returns the first one's errno.
 *
 * The order keeps the invariant: marked in the table, hidden, no reader left, added. A block that
 * Linux does not add stays marked and hidden, since its content may be gone: Linux may have put
 * struct pages there, and its frames may have gone to Xen and come back empty.
 */
static int give_ready_blocks(struct hadump_dump *dump, struct hadump_range r)
{
	struct hadump_layout *l = &dump->layout;
	struct hadump_group g, first = hadump_first_group(l, r);
	int rc, uncut, result = 0;
	u32 i, nr = 0;

	for (g = first; g.first < g.end; g = hadump_next_group(l, r, g)) {
		if (!hadump_group_ready(l, g))
			continue;
		for (i = g.first; i < g.end; i++, nr++) {
			mark_released(dump, &l->blocks[i]);
			hadump_vmcore_hide_block(&l->blocks[i]);
		}
	}
	if (!nr)
		return 0;
	hadump_vmcore_wait_for_readers();

	/*
	 * First those whose struct pages lie elsewhere: not in what the others give, which the next
	 * save area needs in one piece.
	 */
	for (uncut = 1; uncut >= 0; uncut--) {
		for (g = first; g.first < g.end; g = hadump_next_group(l, r, g)) {
			if (hadump_is_uncut(l, g.first) != uncut || !hadump_group_ready(l, g))
				continue;
			rc = give_group(dump, g);
			if (!result)
				result = rc;
		}
	}
	return result;
}

/* Asks for @r in every block; -ENOMEM before anything has changed. */
static int ask_for(struct hadump_layout *l, struct hadump_range r)
{
	u32 i, first = hadump_block_after(l, r.start);

	for (i = first; i < l->nr_blocks && l->blocks[i].start < r.end; i++) {
		struct hadump_block *b = &l->blocks[i];

		if (!hadump_needs_bitmap(l, b, r))
			continue;
		b->asked = kvzalloc(hadump_bitmap_size(b), GFP_KERNEL);
		if (!b->asked)
			return -ENOMEM;	/* empty bitmaps mean the same as none */
	}
	for (i = first; i < l->nr_blocks && l->blocks[i].start < r.end; i++) {
		hadump_ask(l, &l->blocks[i], r);
		kvfree(hadump_take_bitmap(&l->blocks[i]));
	}
	return 0;
}

static int release_held(struct hadump_dump *dump, struct hadump_range r)
{
	int rc = ask_for(&dump->layout, r);

	if (rc)
		return rc;
	dump->touched = true;
	return give_ready_blocks(dump, r);
}

/*
 * From here on a crash begins a new dump: the agent must not find this one complete any more.
 */
static int invalidate_save_area(const struct hadump_dump *dump)
{
	struct hadump_save_header *header;

	header = memremap(dump->layout.save_area.start, sizeof(*header), MEMREMAP_WB);
	if (!header)
		return -ENOMEM;
	WRITE_ONCE(header->complete, 0);
	wmb();	/* before anything else changes */
	memunmap(header);
	return 0;
}

static int release_save_area(struct hadump_dump *dump)
{
	struct hadump_layout *l = &dump->layout;
	int rc;

	/* Blocks without any memory: nobody has to ask for them. */
	rc = give_ready_blocks(dump, (struct hadump_range){ 0, HADUMP_MAX_ADDRESS });
	if (rc)
		return rc;
	if (l->save_is_ram) {
		rc = ask_for(l, l->save_area);
		if (rc)
			return rc;
	}
	if (dump->block_table) {
		rc = invalidate_save_area(dump);
		if (rc)
			return rc;
		memunmap(dump->block_table);
		dump->block_table = NULL;
	}
	hadump_vmcore_hide_save_area();
	hadump_vmcore_wait_for_readers();
	if (l->save_is_ram) {
		rc = give_ready_blocks(dump, l->save_area);
		if (rc)
			return rc;	/* the same write can be repeated */
	}
	l->save_released = true;
	dump->done = true;
	pr_info("the dump is over, all memory is back\n");
	return 0;
}

int hadump_release(u64 start, u64 length, bool *done)
{
	struct hadump_dump *dump = hadump_dump;
	int rc;

	*done = false;
	mutex_lock(&hadump_lock);
	rc = dump && !dump->done ? hadump_check_release(&dump->layout, start, length) : -ENODEV;
	if (!rc)
		rc = hadump_online_prepare();
	if (!rc && hadump_is_save_area(&dump->layout, start, length)) {
		rc = release_save_area(dump);
		*done = !rc;
	} else if (!rc) {
		rc = release_held(dump, (struct hadump_range){ start, start + length });
	}
	mutex_unlock(&hadump_lock);
	if (*done)
		hadump_dump_is_over();
	hadump_publish();
	return rc;
}

int hadump_release_all(bool *done)
{
	struct hadump_dump *dump = hadump_dump;
	int rc;
	u32 i;

	*done = false;
	mutex_lock(&hadump_lock);
	rc = dump && !dump->done ? hadump_online_prepare() : -EPERM;
	for (i = 0; !rc && i < dump->layout.nr_held; i++)
		rc = release_held(dump, dump->layout.held[i]);
	if (!rc) {
		rc = release_save_area(dump);
		*done = !rc;
	}
	mutex_unlock(&hadump_lock);
	if (*done)
		hadump_dump_is_over();
	hadump_publish();
	return rc;
}

void hadump_forget_save_area(void)
{
	mutex_lock(&hadump_lock);
	if (hadump_dump && hadump_dump->done && hadump_dump->save_res) {
		release_resource(hadump_dump->save_res);
		kfree(hadump_dump->save_res);
		hadump_dump->save_res = NULL;
	}
	mutex_unlock(&hadump_lock);
}
