// SPDX-License-Identifier: GPL-2.0-only
/*
 * The listing of regions. It is longer than a page, so one read() does not get all of it; each open
 * file reads the listing as it was when its reader was at the beginning.
 */
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "hadump.h"
#include "region_state.h"

static const char *const state_names[] = {
	[HADUMP_REGION_WINDOW] = "window",
	[HADUMP_REGION_HELD] = "held",
	[HADUMP_REGION_PARTIAL] = "partial",
	[HADUMP_REGION_RELEASED] = "released",
	[HADUMP_REGION_HOLE] = "hole",
	[HADUMP_REGION_SAVE_AREA] = "save-area",
};

/* The first range of @list that ends after @pos; empty at U64_MAX when there is none. */
static struct hadump_range list_after(const struct hadump_list *list, u64 pos)
{
	u32 low = 0, high = list->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (hadump_list_range(list, middle).end <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == list->nr)
		return (struct hadump_range){ U64_MAX, U64_MAX };
	return hadump_list_range(list, low);
}

/* As hadump_state_at(), but knows the window and what earlier boots released, too. */
static enum hadump_region_state state_at(const struct hadump_dump *dump, u64 pos, u64 *end)
{
	struct hadump_range window = list_after(&dump->node.boot_regions, pos);
	struct hadump_range released = list_after(&dump->node.released, pos);
	enum hadump_region_state state = hadump_state_at(&dump->layout, pos, end);

	if (state != HADUMP_REGION_NONE)
		return state;
	if (window.start <= pos) {
		*end = window.end;
		return HADUMP_REGION_WINDOW;
	}
	if (released.start <= pos) {
		*end = released.end;
		return HADUMP_REGION_RELEASED;
	}
	*end = min3(*end, window.start, released.start);
	return HADUMP_REGION_NONE;
}

/* Writes the listing into @buf as snprintf() would; returns its length. hadump_lock held. */
static size_t list_regions(const struct hadump_dump *dump, char *buf, size_t size)
{
	enum hadump_region_state state, next = HADUMP_REGION_NONE;
	u64 pos = 0, start, end = 0;
	size_t n = 0;

	while (pos != U64_MAX) {
		start = pos;
		state = state_at(dump, pos, &end);
		for (pos = end; pos != U64_MAX; pos = end) {
			next = state_at(dump, pos, &end);
			if (next != state)
				break;
		}
		if (state != HADUMP_REGION_NONE)
			n += snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0,
				      "%#llx %#llx %s\n", start, pos, state_names[state]);
	}
	return n;
}

/*
 * A listing that is being read. Nothing tells when a file is closed, so there is a limit, and the one
 * that was used longest ago makes room. A file that comes to lie where a closed one did begins at
 * the beginning, like all, and gets its own.
 */
struct snapshot {
	const struct file *file;	/* whose; only compared */
	char *text;		/* NULL: has been read to its end */
	size_t length;
	u64 used;
};

#define MOST_SNAPSHOTS 16
static struct snapshot snapshots[MOST_SNAPSHOTS];
static u64 uses;
static DEFINE_MUTEX(snapshots_lock);	/* protects both; taken before hadump_lock */

/* The snapshot of @file, or NULL. */
static struct snapshot *find_snapshot(const struct file *file)
{
	int i;

	for (i = 0; i < MOST_SNAPSHOTS; i++)
		if (snapshots[i].file == file)
			return &snapshots[i];
	return NULL;
}

static struct snapshot *oldest_snapshot(void)
{
	struct snapshot *oldest = &snapshots[0];
	int i;

	for (i = 1; i < MOST_SNAPSHOTS; i++)
		if (snapshots[i].used < oldest->used)
			oldest = &snapshots[i];
	return oldest;
}

static int fill(struct snapshot *s)
{
	size_t size = 0;

	mutex_lock(&hadump_lock);
	if (hadump_dump)
		size = list_regions(hadump_dump, NULL, 0) + 1;
	if (size)
		s->text = kvmalloc(size, GFP_KERNEL);
	if (s->text)
		s->length = list_regions(hadump_dump, s->text, size);
	mutex_unlock(&hadump_lock);
	return size && !s->text ? -ENOMEM : 0;
}

static int begin(struct snapshot **ret, const struct file *file)
{
	struct snapshot *s = *ret ? *ret : oldest_snapshot();

	kvfree(s->text);
	*s = (struct snapshot){ .file = file };
	*ret = s;
	return fill(s);
}

static ssize_t read_snapshot(struct snapshot *s, char *buf, loff_t offset, size_t count)
{
	s->used = ++uses;
	if (offset < s->length)
		return s->text ? memory_read_from_buffer(buf, count, &offset, s->text, s->length) :
				 -EAGAIN;
	kvfree(s->text);
	s->text = NULL;
	return 0;
}

ssize_t hadump_read_regions(const struct file *file, char *buf, loff_t offset, size_t count)
{
	struct snapshot *s;
	ssize_t n;

	mutex_lock(&snapshots_lock);
	s = find_snapshot(file);
	n = offset ? 0 : begin(&s, file);
	if (!n)
		n = s ? read_snapshot(s, buf, offset, count) : -EAGAIN;
	mutex_unlock(&snapshots_lock);
	return n;
}

void hadump_forget_regions(void)
{
	int i;

	for (i = 0; i < MOST_SNAPSHOTS; i++) {
		kvfree(snapshots[i].text);
		snapshots[i] = (struct snapshot){ };
	}
}
