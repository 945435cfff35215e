// SPDX-License-Identifier: GPL-2.0
/*
 * The dump node: a walk over the flattened tree, then the checks of docs/spec/dump-node.md.
 * Every offset and length comes from outside and is checked before use.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "node.h"

#define FDT_MAGIC 0xd00dfeedU
#define FDT_VERSION 17U
#define FDT_HEADER_SIZE 40U
#define FDT_BEGIN_NODE 1U
#define FDT_END_NODE 2U
#define FDT_PROP 3U
#define FDT_NOP 4U
#define FDT_END 9U
/* Ours is two deep; anything much deeper is nonsense. */
#define MAX_DEPTH 16U

#define RTAS_HEADER_SIZE 40U
#define RTAS_SECTION_SIZE 40U

enum prop_id {
	PROP_MARKER, PROP_RTAS, PROP_COMPATIBLE, PROP_VERSION, PROP_DUMP_ID, PROP_MODE,
	PROP_BOOT_REGIONS, PROP_SAVE_AREA, PROP_HELD, PROP_HOLES, PROP_RELEASED, PROP_BLOCKS,
	PROP_ELFCOREHDR, PROP_CPU, PROP_HPTE, PROP_CRASH_TIME, PROP_BOOTS, NR_PROPS
};

static const struct {
	const char *name;
	bool optional;
} known_props[NR_PROPS] = {
	[PROP_MARKER] = { HADUMP_PROP_MARKER, false },
	[PROP_RTAS] = { HADUMP_PROP_RTAS, false },
	[PROP_COMPATIBLE] = { "compatible", false },
	[PROP_VERSION] = { HADUMP_PROP_VERSION, false },
	[PROP_DUMP_ID] = { HADUMP_PROP_DUMP_ID, false },
	[PROP_MODE] = { HADUMP_PROP_MODE, false },
	[PROP_BOOT_REGIONS] = { HADUMP_PROP_BOOT_REGIONS, false },
	[PROP_SAVE_AREA] = { HADUMP_PROP_SAVE_AREA, false },
	[PROP_HELD] = { HADUMP_PROP_HELD, false },
	[PROP_HOLES] = { HADUMP_PROP_HOLES, true },
	[PROP_RELEASED] = { HADUMP_PROP_RELEASED, true },
	[PROP_BLOCKS] = { HADUMP_PROP_BLOCKS, false },
	[PROP_ELFCOREHDR] = { HADUMP_PROP_ELFCOREHDR, false },
	[PROP_CPU] = { HADUMP_PROP_CPU, false },
	[PROP_HPTE] = { HADUMP_PROP_HPTE, false },
	[PROP_CRASH_TIME] = { HADUMP_PROP_CRASH_TIME, false },
	[PROP_BOOTS] = { HADUMP_PROP_BOOTS, false },
};

struct prop {
	const u8 *data;		/* NULL: not there */
	u32 length;
};

struct tree {
	const u8 *base;
	u32 structs, structs_end;	/* offsets of the structure block */
	u32 strings, strings_end;
};

static u32 be16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static u32 be32(const u8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static u64 be64(const u8 *p)
{
	return (u64)be32(p) << 32 | be32(p + 4);
}

struct hadump_range hadump_list_range(const struct hadump_list *list, u32 i)
{
	const u8 *p = list->data + (size_t)i * list->stride * sizeof(u64);
	struct hadump_range r = { be64(p), be64(p) + be64(p + 8) };

	return r;
}

u32 hadump_tree_size(const void *header)
{
	const u8 *h = header;
	u32 size = be32(h + 4);

	if (be32(h) != FDT_MAGIC || be32(h + 20) < FDT_VERSION || be32(h + 24) > FDT_VERSION)
		return 0;
	return size < FDT_HEADER_SIZE || size > HADUMP_MAX_NODE_SIZE ? 0 : size;
}

/* Sets the blocks' bounds, all inside the tree. */
static bool open_tree(struct tree *t, const u8 *base, u32 size)
{
	u32 total, structs_size, strings_size;

	if (size < FDT_HEADER_SIZE)
		return false;
	total = hadump_tree_size(base);
	if (!total || total > size)
		return false;

	t->base = base;
	t->structs = be32(base + 8);
	t->strings = be32(base + 12);
	strings_size = be32(base + 32);
	structs_size = be32(base + 36);
	if (t->structs % 4 || t->structs > total || structs_size > total - t->structs ||
	    t->strings > total || strings_size > total - t->strings)
		return false;
	t->structs_end = t->structs + structs_size;
	t->strings_end = t->strings + strings_size;
	return true;
}

/* Length of the string at @offset without its NUL, which must stand before @end; -1 when not. */
static int string_length(const struct tree *t, u32 offset, u32 end)
{
	const u8 *nul;

	if (offset >= end)
		return -1;
	nul = memchr(t->base + offset, 0, end - offset);
	return nul ? (int)(nul - t->base - offset) : -1;
}

/* Advances *pos over a u32; false at the end of the structure block. */
static bool next_u32(const struct tree *t, u32 *pos, u32 *value)
{
	if (t->structs_end - *pos < 4)
		return false;
	*value = be32(t->base + *pos);
	*pos += 4;
	return true;
}

/* Advances *pos over @length bytes and their padding. */
static bool skip(const struct tree *t, u32 *pos, u32 length)
{
	u32 padded = (length + 3U) & ~3U;

	if (padded < length || t->structs_end - *pos < padded)
		return false;
	*pos += padded;
	return true;
}

/* A property of our node; an unknown one is ignored, the same one twice is not. */
static const char *keep_prop(const struct tree *t, u32 name, const u8 *data, u32 length,
			     struct prop *props)
{
	const char *text = (const char *)t->base + name;
	int i;

	if (string_length(t, name, t->strings_end) < 0)
		return "a property's name lies outside the tree";
	for (i = 0; i < NR_PROPS; i++) {
		if (strcmp(text, known_props[i].name))
			continue;
		if (props[i].data)
			return "a property is there twice";
		props[i].data = data;
		props[i].length = length;
	}
	return NULL;
}

static const char *const truncated = "the tree ends too early";

/*
 * Walks the whole tree and collects the properties of /dump-kernel. Returns NULL, or what is
 * wrong.
 */
static const char *walk(const struct tree *t, struct prop *props)
{
	u32 pos = t->structs, depth = 0, token, length, name;
	bool inside = false, found = false;
	const char *bad;
	int n;

	while (next_u32(t, &pos, &token)) {
		switch (token) {
		case FDT_NOP:
			break;
		case FDT_BEGIN_NODE:
			n = string_length(t, pos, t->structs_end);
			if (n < 0)
				return truncated;
			if (++depth > MAX_DEPTH)
				return "the tree is too deep";
			if (depth == 2 && !strcmp((const char *)t->base + pos, HADUMP_NODE_NAME)) {
				if (found)
					return "there are two dump nodes";
				found = true;
				inside = true;
			}
			if (!skip(t, &pos, (u32)n + 1))
				return truncated;
			break;
		case FDT_PROP:
			if (!depth)
				return "a property stands outside every node";
			if (!next_u32(t, &pos, &length) || !next_u32(t, &pos, &name))
				return truncated;
			if (t->structs_end - pos < length)
				return truncated;
			if (inside && depth == 2) {
				bad = name > t->strings_end - t->strings ? truncated :
				      keep_prop(t, t->strings + name, t->base + pos, length, props);
				if (bad)
					return bad;
			}
			if (!skip(t, &pos, length))
				return truncated;
			break;
		case FDT_END_NODE:
			if (!depth)
				return "a node ends that never began";
			if (depth == 2)
				inside = false;
			depth--;
			break;
		case FDT_END:
			if (depth)
				return "a node does not end";
			return found ? NULL : "there is no dump node";
		default:
			return "the tree has an unknown token";
		}
	}
	return truncated;
}

static bool prop_is(const struct prop *p, const char *text)
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

static bool read_pair(const struct prop *p, bool whole, struct hadump_range *r)
{
	if (p->length != 16 || !good_range(p->data, whole))
		return false;
	r->start = be64(p->data);
	r->end = r->start + be64(p->data + 8);
	return true;
}

static bool read_list(const struct prop *p, u32 stride, u32 max, struct hadump_list *list)
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

static const char *check_rtas(const struct prop *p, const struct hadump_node *n)
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

static const char *read_scalars(const struct prop *props, struct hadump_node *n)
{
	int i;

	for (i = 0; i < NR_PROPS; i++)
		if (!props[i].data && !known_props[i].optional)
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

static const char *read_ranges(const struct prop *props, struct hadump_node *n)
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
	struct prop props[NR_PROPS];
	struct tree t;

	memset(node, 0, sizeof(*node));
	memset(props, 0, sizeof(props));
	if (!open_tree(&t, tree, size)) {
		*why = "it is no flattened tree of version 17";
		return -EINVAL;
	}
	*why = walk(&t, props);
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
