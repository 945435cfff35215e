// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dump node: what the walk over the flattened tree finds, and the checks of
 * docs/spec/dump-node.md.
 */
#include "node.h"

#include "fdt_walk.h"

#define RTAS_HEADER_SIZE 40U
#define RTAS_SECTION_SIZE 40U

enum prop_id {
	PROP_MARKER, PROP_RTAS, PROP_COMPATIBLE, PROP_VERSION, PROP_DUMP_ID, PROP_MODE,
	PROP_BOOT_REGIONS, PROP_SAVE_AREA, PROP_HELD, PROP_HOLES, PROP_RELEASED, PROP_BLOCKS,
	PROP_ELFCOREHDR, PROP_CPU, PROP_HPTE, PROP_CRASH_TIME, PROP_BOOTS, NR_PROPS
};

static const char *const prop_names[NR_PROPS] = {
	[PROP_MARKER] = HADUMP_PROP_MARKER,
	[PROP_RTAS] = HADUMP_PROP_RTAS,
	[PROP_COMPATIBLE] = "compatible",
	[PROP_VERSION] = HADUMP_PROP_VERSION,
	[PROP_DUMP_ID] = HADUMP_PROP_DUMP_ID,
	[PROP_MODE] = HADUMP_PROP_MODE,
	[PROP_BOOT_REGIONS] = HADUMP_PROP_BOOT_REGIONS,
	[PROP_SAVE_AREA] = HADUMP_PROP_SAVE_AREA,
	[PROP_HELD] = HADUMP_PROP_HELD,
	[PROP_HOLES] = HADUMP_PROP_HOLES,
	[PROP_RELEASED] = HADUMP_PROP_RELEASED,
	[PROP_BLOCKS] = HADUMP_PROP_BLOCKS,
	[PROP_ELFCOREHDR] = HADUMP_PROP_ELFCOREHDR,
	[PROP_CPU] = HADUMP_PROP_CPU,
	[PROP_HPTE] = HADUMP_PROP_HPTE,
	[PROP_CRASH_TIME] = HADUMP_PROP_CRASH_TIME,
	[PROP_BOOTS] = HADUMP_PROP_BOOTS,
};

static bool is_optional(int prop)
{
	return prop == PROP_HOLES || prop == PROP_RELEASED;
}

struct hadump_range hadump_list_range(const struct hadump_list *list, u32 i)
{
	const u8 *p = list->data + (size_t)i * list->stride * sizeof(u64);
	struct hadump_range r = { be64(p), be64(p) + be64(p + 8) };

	return r;
}

static bool prop_is(const struct hadump_prop *p, const char *text)
{
	return p->length == strlen(text) + 1 && !memcmp(p->data, text, p->length);
}

/* One range of bytes, below the limit; @whole: the length is whole frames, too. */
static bool good_range(const u8 *p, bool whole)
{
	u64 start = be64(p), length = be64(p + 8);

	return !(start % HADUMP_FRAME_SIZE) && length && !(whole && length % HADUMP_FRAME_SIZE) &&
	       start < HADUMP_MAX_ADDRESS && length <= HADUMP_MAX_ADDRESS - start;
}

static bool read_pair(const struct hadump_prop *p, bool whole, struct hadump_range *r)
{
	if (p->length != 16 || !good_range(p->data, whole))
		return false;
	r->start = be64(p->data);
	r->end = r->start + be64(p->data + 8);
	return true;
}

static bool read_list(const struct hadump_prop *p, u32 stride, u32 max, struct hadump_list *list)
{
	u32 i, bytes = stride * (u32)sizeof(u64);
	u64 previous = 0;

	if (!p->data)	/* optional, else it has been refused before */
		return true;
	if (p->length % bytes || p->length / bytes > max)
		return false;
	list->data = p->data;
	list->nr = p->length / bytes;
	for (i = 0; i < list->nr; i++) {
		struct hadump_range r;

		if (!good_range(p->data + i * bytes, true))
			return false;
		r = hadump_list_range(list, i);
		if (r.start < previous)
			return false;
		previous = r.end;
	}
	return true;
}

/* Both lists ascend, so one pass over the two is enough. */
static bool lists_overlap(const struct hadump_list *a, const struct hadump_list *b)
{
	u32 i = 0, j = 0;

	while (i < a->nr && j < b->nr) {
		struct hadump_range x = hadump_list_range(a, i), y = hadump_list_range(b, j);

		if (hadump_range_overlaps(x, y))
			return true;
		if (x.end <= y.start)
			i++;
		else
			j++;
	}
	return false;
}

static bool list_overlaps_range(const struct hadump_list *a, struct hadump_range r)
{
	u32 i;

	for (i = 0; i < a->nr; i++)
		if (hadump_range_overlaps(hadump_list_range(a, i), r))
			return true;
	return false;
}

/* Every hole lies in the held ranges, whose neighbours may touch each other. */
static bool list_contains_list(const struct hadump_list *outer, const struct hadump_list *inner)
{
	u32 i, j = 0;

	for (i = 0; i < inner->nr; i++) {
		struct hadump_range r = hadump_list_range(inner, i);

		for (; j < outer->nr && r.start < r.end; j++) {
			struct hadump_range o = hadump_list_range(outer, j);

			if (o.end <= r.start)
				continue;
			if (o.start > r.start)
				return false;
			r.start = o.end < r.end ? o.end : r.end;
			if (r.start == r.end)
				break;	/* the next hole may be in the same range */
		}
		if (r.start < r.end)
			return false;
	}
	return true;
}

/*
 * Linux takes memory back in whole blocks only, so an edge inside one would never come back. The
 * exception is where a registered save area, which comes back last, cuts a block.
 */
static bool held_is_whole_blocks(const struct hadump_node *n)
{
	u32 i;

	for (i = 0; i < n->held.nr; i++) {
		struct hadump_range r = hadump_list_range(&n->held, i);

		if (r.start % HADUMP_BLOCK_SIZE &&
		    !(n->registered && r.start == n->save_area.end))
			return false;
		if (r.end % HADUMP_BLOCK_SIZE &&
		    !(n->registered && r.end == n->save_area.start))
			return false;
	}
	return true;
}

static const char *check_rtas(const struct hadump_prop *p, const struct hadump_node *n)
{
	u32 sections, i;

	if (p->length < RTAS_HEADER_SIZE)
		return HADUMP_PROP_RTAS " is too short";
	sections = be16(p->data + 4);
	if (be32(p->data) != HADUMP_RTAS_FORMAT_VERSION)
		return HADUMP_PROP_RTAS " has an unknown version";
	if (!(be16(p->data + 6) & HADUMP_RTAS_STATUS_PERFORMED))
		return HADUMP_PROP_RTAS " says that no dump was made";
	if (sections != n->boot_regions.nr + 2 || be32(p->data + 8) != RTAS_HEADER_SIZE ||
	    p->length != RTAS_HEADER_SIZE + sections * RTAS_SECTION_SIZE)
		return HADUMP_PROP_RTAS " has not the expected sections";
	for (i = 0; i < sections; i++) {
		const u8 *s = p->data + RTAS_HEADER_SIZE + i * RTAS_SECTION_SIZE;
		u32 type = i == 0 ? HADUMP_RTAS_CPU : i == 1 ? HADUMP_RTAS_HPTE : HADUMP_RTAS_RMR;

		if (be16(s + 4) != type)
			return HADUMP_PROP_RTAS " has its sections in another order";
	}
	return NULL;
}

static const char *read_scalars(const struct hadump_prop *props, struct hadump_node *n)
{
	int i;

	for (i = 0; i < NR_PROPS; i++)
		if (!props[i].data && !is_optional(i))
			return "a property is missing";
	if (!prop_is(&props[PROP_COMPATIBLE], HADUMP_NODE_COMPATIBLE))
		return "it is not compatible";
	if (props[PROP_MARKER].length)
		return "the marker is not empty";
	if (props[PROP_VERSION].length != 4 ||
	    be32(props[PROP_VERSION].data) != HADUMP_ABI_VERSION)
		return "its version is unknown";
	if (props[PROP_DUMP_ID].length != sizeof(n->dump_id))
		return "the dump id is not 16 bytes";
	if (props[PROP_BOOTS].length != 4 || props[PROP_CRASH_TIME].length != 8)
		return "boots or crash time has a wrong length";

	memcpy(n->dump_id, props[PROP_DUMP_ID].data, sizeof(n->dump_id));
	n->boots = be32(props[PROP_BOOTS].data);
	n->crash_time = be64(props[PROP_CRASH_TIME].data);
	n->registered = prop_is(&props[PROP_MODE], "registered");
	if (!n->registered && !prop_is(&props[PROP_MODE], "added"))
		return "its mode is unknown";
	return NULL;
}

static const char *read_ranges(const struct hadump_prop *props, struct hadump_node *n)
{
	n->boot_regions.stride = 3;
	n->held.stride = 2;
	n->holes.stride = 2;
	n->released.stride = 2;
	if (!read_pair(&props[PROP_SAVE_AREA], true, &n->save_area) ||
	    n->save_area.start % HADUMP_SAVE_ALIGN)
		return "the save area is malformed";
	if (!read_pair(&props[PROP_BLOCKS], false, &n->block_table) ||
	    !read_pair(&props[PROP_ELFCOREHDR], false, &n->elfcorehdr) ||
	    !read_pair(&props[PROP_CPU], false, &n->cpu) ||
	    !read_pair(&props[PROP_HPTE], false, &n->hpte))
		return "a section of the save area is malformed";
	if (!read_list(&props[PROP_BOOT_REGIONS], 3, HADUMP_MAX_BOOT_REGIONS, &n->boot_regions) ||
	    !n->boot_regions.nr)
		return "the boot regions are malformed";
	if (!read_list(&props[PROP_HELD], 2, HADUMP_MAX_RANGES, &n->held) ||
	    !read_list(&props[PROP_HOLES], 2, HADUMP_MAX_RANGES, &n->holes) ||
	    !read_list(&props[PROP_RELEASED], 2, HADUMP_MAX_RANGES, &n->released))
		return "a list of ranges is malformed";
	return NULL;
}

static const char *check_sections(struct hadump_node *n)
{
	u64 held_end = 0;
	u32 i;

	if (!hadump_range_contains(n->save_area, n->block_table) ||
	    !hadump_range_contains(n->save_area, n->elfcorehdr) ||
	    !hadump_range_contains(n->save_area, n->cpu) ||
	    !hadump_range_contains(n->save_area, n->hpte))
		return "a section lies outside the save area";

	for (i = 0; i < n->boot_regions.nr; i++) {
		const u8 *p = n->boot_regions.data + i * 24;
		struct hadump_range copy = { be64(p + 16), 0 };

		if (copy.start % HADUMP_FRAME_SIZE || copy.start > HADUMP_MAX_ADDRESS)
			return "a boot region's copy is malformed";
		copy.end = copy.start + be64(p + 8);
		if (!hadump_range_contains(n->save_area, copy))
			return "a boot region's copy lies outside the save area";
		if (!i || copy.start < n->low.start)
			n->low.start = copy.start;
		if (copy.end > n->low.end)
			n->low.end = copy.end;
	}

	if (n->held.nr)
		held_end = hadump_list_range(&n->held, n->held.nr - 1).end;
	if (n->registered && n->save_area.end > held_end)
		held_end = n->save_area.end;
	if (hadump_range_size(n->block_table) < (held_end + HADUMP_BLOCK_SIZE - 1) /
	    HADUMP_BLOCK_SIZE)
		return "the block table does not reach the end of held memory";
	return NULL;
}

static const char *check_overlaps(const struct hadump_node *n)
{
	if (lists_overlap(&n->held, &n->boot_regions) || lists_overlap(&n->held, &n->released) ||
	    lists_overlap(&n->boot_regions, &n->released) ||
	    list_overlaps_range(&n->held, n->save_area) ||
	    list_overlaps_range(&n->boot_regions, n->save_area) ||
	    list_overlaps_range(&n->released, n->save_area))
		return "ranges overlap each other";
	if (!list_contains_list(&n->held, &n->holes))
		return "a hole lies outside held memory";
	if (!held_is_whole_blocks(n))
		return "held memory is not whole blocks";
	return NULL;
}

int hadump_node_read(const void *tree, u32 size, struct hadump_node *node, const char **why)
{
	struct hadump_prop props[NR_PROPS];

	memset(node, 0, sizeof(*node));
	memset(props, 0, sizeof(props));
	*why = hadump_fdt_collect(tree, size, prop_names, props, NR_PROPS);
	if (!*why)
		*why = read_scalars(props, node);
	if (!*why)
		*why = read_ranges(props, node);
	if (!*why)
		*why = check_rtas(&props[PROP_RTAS], node);
	if (!*why)
		*why = check_sections(node);
	if (!*why)
		*why = check_overlaps(node);
	return *why ? -EINVAL : 0;
}
