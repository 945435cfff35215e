// SPDX-License-Identifier: GPL-2.0-only
/*
 * Old memory is given to Linux block by block. claim.c has made it ours.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/slab.h>

#include "block_group.h"
#include "hadump.h"
#include "moved_holes.h"
#include "release_policy.h"

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

	rc = hadump_before_add(l, g);
	if (!rc) {
		res->flags &= ~IORESOURCE_BUSY;
		rc = add_group(l, g);
	}
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
 * Everything that must be so before a block is given: marked in the table, hidden, no reader left,
 * and no mapping. Returns false when no group is ready.
 */
static bool withdraw(struct hadump_dump *dump, struct hadump_range r)
{
	const struct hadump_layout *l = &dump->layout;
	struct hadump_group g, first = hadump_first_group(l, r);
	struct hadump_range run = { 0, 0 }, next;
	bool any = false;
	u32 i;

	for (g = first; g.first < g.end; g = hadump_next_group(l, r, g)) {
		if (!hadump_group_ready(l, g))
			continue;
		for (i = g.first; i < g.end; i++) {
			mark_released(dump, &l->blocks[i]);
			hadump_vmcore_hide_block(&l->blocks[i]);
		}
		any = true;
	}
	if (!any)
		return false;
	hadump_vmcore_wait_for_readers();

	/* As few and long runs as there are: each one is looked for in all of /proc. */
	for (g = first; g.first < g.end; g = hadump_next_group(l, r, g)) {
		if (!hadump_group_ready(l, g))
			continue;
		next = hadump_group_range(l, g);
		if (run.end != next.start) {
			hadump_unmap(run);
			run = next;
		}
		run.end = next.end;
	}
	hadump_unmap(run);
	return true;
}

/*
 * Gives every ready group that @r touches. Goes on after a failure; returns the first one's errno.
 *
 * A block that Linux does not add stays marked and hidden, since its content may be gone: Linux may
 * have put struct pages there, and its frames may have gone to Xen and come back empty.
 */
static int give_ready_blocks(struct hadump_dump *dump, struct hadump_range r)
{
	struct hadump_layout *l = &dump->layout;
	struct hadump_group g;
	int rc, uncut, result = 0;

	if (!withdraw(dump, r))
		return 0;
	/*
	 * First those whose struct pages lie elsewhere: not in what the others give, which the next
	 * save area needs in one piece.
	 */
	for (uncut = 1; uncut >= 0; uncut--) {
		for (g = hadump_first_group(l, r); g.first < g.end; g = hadump_next_group(l, r, g)) {
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
	/* The copies of low memory, at the addresses that they were copied from. */
	hadump_unmap((struct hadump_range){ 0, HADUMP_MAX_ADDRESS });
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
