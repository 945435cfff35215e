// SPDX-License-Identifier: GPL-2.0-only
/*
 * The old memory becomes ours in the resource tree: each group of blocks has an entry of its own,
 * busy until the group is given to Linux.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "block_group.h"
#include "hadump.h"

/*
 * The map entry that marks @r busy. Its type is 6 (disabled), which Linux calls unknown, or 5
 * (unusable): Linux commit 38620fc4e893 ("x86/xen: attempt to inflate the memory balloon on PVH"),
 * in v6.9, turns type 5 into memory for foreign mappings, so the agent uses type 6.
 *
 * The walk takes no lock, since resource_lock is not for modules. It runs once, early in the
 * initramfs; entries of the memory map are never freed.
 */
static bool is_map_entry(const struct resource *entry)
{
	return entry->flags & IORESOURCE_BUSY && entry->name &&
	       (!strcmp(entry->name, "Unusable memory") ||
		!strcmp(entry->name, "Unknown E820 type"));
}

static struct resource *find_map_entry(struct hadump_range r)
{
	struct resource *entry;

	for (entry = iomem_resource.child; entry; entry = entry->sibling)
		if (entry->start <= r.start && entry->end >= r.end - 1)
			break;
	return entry && is_map_entry(entry) ? entry : NULL;
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

/*
 * Requests go from high addresses to low ones: request_resource() looks for a range's place from the
 * lowest sibling on, so that in ascending order a claim of n ranges would take n * n / 2 steps.
 */
struct cursor {
	struct resource *entry;	/* of the memory map, where the last claim was; NULL: none yet */
	u64 covered;		/* from here to its end the entry has children */
	bool save_area;		/* an added save area is still to be claimed, in its place */
};

/*
 * Covers what is left between @start and the claims above it, so that removing the entry makes
 * nothing free.
 */
static int fill_gap(struct cursor *at, u64 start)
{
	struct hadump_range gap = { start, at->covered };

	if (gap.start == gap.end)
		return 0;
	at->covered = start;
	return PTR_ERR_OR_ZERO(request_inside(at->entry, gap, at->entry->name));
}

static int enter(struct cursor *at, struct hadump_range r)
{
	struct resource *entry;
	int rc;

	if (at->entry && at->entry->start <= r.start)
		return 0;
	entry = find_map_entry(r);
	if (!entry) {
		pr_err("%#llx-%#llx: no busy entry of the memory map covers it, so others may have used it\n",
		       r.start, r.end);
		return -EBUSY;
	}
	rc = at->entry ? fill_gap(at, at->entry->start) : 0;
	at->entry = entry;
	at->covered = entry->end + 1;
	return rc;
}

static int claim_range(struct cursor *at, struct hadump_range r, const char *name,
		       struct resource **ret)
{
	struct resource *res;
	int rc = enter(at, r);

	if (rc)
		return rc;
	rc = fill_gap(at, r.end);
	if (rc)
		return rc;
	res = request_inside(at->entry, r, name);
	if (IS_ERR(res)) {
		pr_err("%#llx-%#llx: cannot be claimed\n", r.start, r.end);
		return PTR_ERR(res);
	}
	at->covered = r.start;
	*ret = res;
	return 0;
}

static int claim_save_area(struct hadump_dump *dump, struct cursor *at)
{
	at->save_area = false;
	return claim_range(at, dump->layout.save_area, "hadump save area", &dump->save_res);
}

/* One resource per range of a group: it is given by the one that covers all of it. */
static int claim_group(struct hadump_dump *dump, struct cursor *at, struct hadump_group g)
{
	const struct hadump_layout *l = &dump->layout;
	struct hadump_range r = hadump_group_range(l, g), part;
	bool save = l->save_is_ram && hadump_range_contains(l->save_area, r);
	u32 first = hadump_range_after(l->ours, l->nr_ours, r.start);
	u32 n = hadump_range_after(l->ours, l->nr_ours, r.end);
	int rc = 0;

	/* The first range that ends after the group may begin in it. */
	if (n < l->nr_ours && l->ours[n].start < r.end)
		n++;
	while (n-- > first && !rc) {
		part = hadump_range_common(l->ours[n], r);
		if (at->save_area && l->save_area.start >= part.end)
			rc = claim_save_area(dump, at);
		if (!rc)
			rc = claim_range(at, part, save ? "hadump save area" : "hadump held",
					 &dump->block_res[g.first]);
	}
	return rc;
}

static int claim_all(struct hadump_dump *dump)
{
	const struct hadump_layout *l = &dump->layout;
	struct cursor at = { .save_area = !l->save_is_ram };
	struct hadump_group g = { l->nr_blocks, l->nr_blocks };
	int rc = 0;

	while (g.first && !rc) {
		g = hadump_group_of(l, g.first - 1);
		rc = claim_group(dump, &at, g);
	}
	if (at.save_area && !rc)
		rc = claim_save_area(dump, &at);
	if (at.entry && !rc)
		rc = fill_gap(&at, at.entry->start);
	return rc;
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

/* Releases our children of @entry and what covers its gaps, which bears its name. */
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

/*
 * No moment without an owner: our resources are first requested as children of the busy entry; then
 * the entry is removed, which lifts its children to its place under resource_lock.
 */
int hadump_claim(struct hadump_dump *dump)
{
	struct resource *entry, *next;
	int rc = claim_all(dump);

	for (entry = iomem_resource.child; entry; entry = next) {
		next = entry->sibling;
		if (rc && is_map_entry(entry))
			undo_claims(entry);
		else if (!rc && has_claims(entry))
			remove_resource(entry);
	}
	return rc;
}
