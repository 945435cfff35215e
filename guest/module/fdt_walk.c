// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every offset and length comes from outside and is checked before use.
 */
#include "fdt_walk.h"

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

/* The tree, and what is looked for in it. */
struct tree {
	const u8 *base;
	u32 structs, structs_end;	/* offsets of the structure block */
	u32 strings, strings_end;
	const char *const *names;
	struct hadump_prop *props;
	int nr;
};

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

/*
 * A property of our node; an unknown one is ignored, the same one twice is not. A name is not read
 * beyond its limit: 2 MiB of properties that share one long name would take minutes.
 */
static const char *keep_prop(const struct tree *t, u32 name, const u8 *data, u32 length)
{
	const char *text = (const char *)t->base + name;
	u32 end = t->strings_end;
	int i;

	if (end - name > HADUMP_MAX_PROPERTY_NAME + 1)
		end = name + HADUMP_MAX_PROPERTY_NAME + 1;
	if (string_length(t, name, end) < 0)
		return "a property's name is too long, or lies outside the tree";
	for (i = 0; i < t->nr; i++) {
		if (strcmp(text, t->names[i]))
			continue;
		if (t->props[i].data)
			return "a property is there twice";
		t->props[i].data = data;
		t->props[i].length = length;
	}
	return NULL;
}

static const char *const truncated = "the tree ends too early";

/* Advances *pos over a property; @ours: it is one of our node. Returns NULL, or what is wrong. */
static const char *take_prop(const struct tree *t, u32 *pos, bool ours)
{
	u32 length, name;
	const char *bad;

	if (!next_u32(t, pos, &length) || !next_u32(t, pos, &name))
		return truncated;
	if (t->structs_end - *pos < length)
		return truncated;
	if (ours) {
		bad = name > t->strings_end - t->strings ? truncated :
		      keep_prop(t, t->strings + name, t->base + *pos, length);
		if (bad)
			return bad;
	}
	return skip(t, pos, length) ? NULL : truncated;
}

/*
 * Walks the whole tree and collects the properties of /dump-kernel. Returns NULL, or what is
 * wrong.
 */
static const char *walk(const struct tree *t)
{
	u32 pos = t->structs, depth = 0, nr_props = 0, token;
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
			if (++nr_props > HADUMP_MAX_NODE_PROPERTIES)
				return "the tree has too many properties";
			bad = take_prop(t, &pos, inside && depth == 2);
			if (bad)
				return bad;
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

const char *hadump_fdt_collect(const void *tree, u32 size, const char *const *names,
			       struct hadump_prop *props, int nr)
{
	struct tree t = { .names = names, .props = props, .nr = nr };

	if (!open_tree(&t, tree, size))
		return "it is no flattened tree of version 17";
	return walk(&t);
}
