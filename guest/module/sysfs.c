// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/release_region and /sys/kernel/hadump/; docs/abi/sysfs.md says what they mean.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kobject.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "hadump.h"
#include "region_state.h"
#include "release_text.h"

/* After a release, whether or not it went well: a part of it may have. */
static void tell_agent(bool done)
{
	if (done)
		hadump_dump_is_over();
	hadump_publish();
}

/* ---- release_region ---- */

static ssize_t release_region_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct hadump_range cpu, hpte, low;
	u64 first, held;

	mutex_lock(&hadump_lock);
	if (!hadump_dump_waits()) {
		mutex_unlock(&hadump_lock);
		return -ENODEV;
	}
	cpu = hadump_dump->node.cpu;
	hpte = hadump_dump->node.hpte;
	low = hadump_dump->node.low;
	first = hadump_first_held(&hadump_dump->layout);
	held = hadump_held_bytes(&hadump_dump->layout);
	mutex_unlock(&hadump_lock);

	return sysfs_emit(buf, "CPU:0x%llx-0x%llx: HPTE:0x%llx-0x%llx: DUMP:0x%llx-0x%llx, 0x%llx-0x%llx:\n",
			  cpu.start, hadump_range_size(cpu), hpte.start, hadump_range_size(hpte),
			  low.start, hadump_range_size(low), first, held);
}

static ssize_t release_region_store(struct kobject *kobj, struct kobj_attribute *attr,
				    const char *buf, size_t count);

static struct kobj_attribute release_region_attr =
	__ATTR(release_region, 0600, release_region_show, release_region_store);
/* Bit 0: the file is there. */
static unsigned long release_region_there;

/*
 * Input: START LENGTH in hexadecimal bytes.
 *
 * Returns count, -EINVAL (syntax, length 0, overflow), -EFAULT (not page-aligned), -ERANGE (not
 * inside held memory and not the save area), -EALREADY (a part was released before), -EBUSY (the
 * save area, too early), -EOPNOTSUPP (hadump_refusal() says why), or what was in the way of adding a
 * block: then the same write can be repeated.
 */
static ssize_t release_region_store(struct kobject *kobj, struct kobj_attribute *attr,
				    const char *buf, size_t count)
{
	u64 start, length;
	bool done;
	int rc;

	if (hadump_parse_range(buf, &start, &length))
		return -EINVAL;
	rc = hadump_release(start, length, &done);
	tell_agent(done);
	if (done && test_and_clear_bit(0, &release_region_there))
		sysfs_remove_file_self(kernel_kobj, &attr->attr);
	return rc ? rc : count;
}

/* ---- hadump/ ---- */

static ssize_t enabled_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", !hadump_refusal());
}

static ssize_t refusal_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", hadump_refusal() ?: "");
}

static ssize_t registered_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", hadump_is_registered());
}

/* Input: 0 or 1. -EINVAL for anything else, and see hadump_set_registered(). */
static ssize_t registered_store(struct kobject *kobj, struct kobj_attribute *attr,
				const char *buf, size_t count)
{
	int rc;

	if (!sysfs_streq(buf, "0") && !sysfs_streq(buf, "1"))
		return -EINVAL;
	rc = hadump_set_registered(buf[0] == '1');
	return rc ? rc : count;
}

static ssize_t mem_held_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	u64 held = 0;

	mutex_lock(&hadump_lock);
	if (hadump_dump_waits())
		held = hadump_held_bytes(&hadump_dump->layout);
	mutex_unlock(&hadump_lock);
	return sysfs_emit(buf, "%llu\n", held);
}

/* Input: 1. -EINVAL for anything else, -EPERM without a dump, else as release_region. */
static ssize_t release_mem_store(struct kobject *kobj, struct kobj_attribute *attr,
				 const char *buf, size_t count)
{
	bool done;
	int rc;

	if (!sysfs_streq(buf, "1"))
		return -EINVAL;
	rc = hadump_release_all(&done);
	tell_agent(done);
	if (done && test_and_clear_bit(0, &release_region_there))
		sysfs_remove_file(kernel_kobj, &release_region_attr.attr);
	return rc ? rc : count;
}

static ssize_t dump_id_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	if (!hadump_dump_waits())
		return sysfs_emit(buf, "\n");
	return sysfs_emit(buf, "%*phN\n", 16, hadump_dump->node.dump_id);
}

static ssize_t progress_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	char line[HADUMP_PROGRESS_MAX + 1];

	hadump_get_progress(line);
	return sysfs_emit(buf, "%s\n", line);
}

/* Input: one line of at most 200 printable bytes, newline optional. -EINVAL for anything else. */
static ssize_t progress_store(struct kobject *kobj, struct kobj_attribute *attr,
			      const char *buf, size_t count)
{
	size_t i, n = count;

	if (n && buf[n - 1] == '\n')
		n--;
	if (n > HADUMP_PROGRESS_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			return -EINVAL;
	hadump_set_progress(buf, n);
	return count;
}

/* ---- regions: longer than a page, hence a binary attribute ---- */

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
	u32 i;

	for (i = 0; i < list->nr; i++)
		if (hadump_list_range(list, i).end > pos)
			return hadump_list_range(list, i);
	return (struct hadump_range){ U64_MAX, U64_MAX };
}

/* As hadump_state_at(), but knows the window and what earlier boots released, too. */
static enum hadump_region_state state_at(const struct hadump_dump *dump, u64 pos, u64 *end)
{
	struct hadump_range window = list_after(&dump->node.boot_regions, pos);
	struct hadump_range released = list_after(&dump->node.released, pos);
	enum hadump_region_state state = hadump_state_at(&dump->layout, pos, end);
static struct kobj_attribute refusal_attr = __ATTR_RO(refusal);

	if (state != HADUMP_REGION_NONE)
		return state;
	if (window.start <= pos) {
		*end = window.end;
		return HADUMP_REGION_WINDOW;
	}
	if (released.start <= pos) {
	&refusal_attr.attr,
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

/* The listing that is being read. It is made when a reader is at the beginning. */
static char *regions_text;
static size_t regions_length;
static DEFINE_MUTEX(regions_lock);

static int make_regions_text(void)
{
	size_t size = 0;

	kvfree(regions_text);
	regions_text = NULL;
	regions_length = 0;
	mutex_lock(&hadump_lock);
	if (hadump_dump)
		size = list_regions(hadump_dump, NULL, 0) + 1;
	if (size)
		regions_text = kvmalloc(size, GFP_KERNEL);
	if (regions_text)
		regions_length = list_regions(hadump_dump, regions_text, size);
	mutex_unlock(&hadump_lock);
	return size && !regions_text ? -ENOMEM : 0;
}

/*
 * What read() of a binary attribute gets: constant in newer kernels (v7.3 has it so, v6.12 not), and
 * the compiler knows which one this is.
 */
#define READS_CONST								\
	__builtin_types_compatible_p(typeof(((struct bin_attribute *)NULL)->read),	\
				     ssize_t (*)(struct file *, struct kobject *,	\
						 const struct bin_attribute *, char *, loff_t, size_t))
typedef typeof(__builtin_choose_expr(READS_CONST, (const struct bin_attribute *)NULL,
				     (struct bin_attribute *)NULL)) bin_attr_ptr;

static ssize_t regions_read(struct file *file, struct kobject *kobj, bin_attr_ptr attr, char *buf,
			    loff_t offset, size_t count)
{
	ssize_t n;

	mutex_lock(&regions_lock);
	n = offset ? 0 : make_regions_text();
	if (!n)
		n = memory_read_from_buffer(buf, count, &offset, regions_text, regions_length);
	mutex_unlock(&regions_lock);
	return n;
}

static ssize_t node_read(struct file *file, struct kobject *kobj, bin_attr_ptr attr, char *buf,
			 loff_t offset, size_t count)
{
	if (!hadump_dump_waits())
		return 0;
	return memory_read_from_buffer(buf, count, &offset, hadump_dump->tree,
				       hadump_dump->tree_size);
}

static struct kobj_attribute enabled_attr = __ATTR_RO(enabled);
static struct kobj_attribute registered_attr = __ATTR_RW(registered);
static struct kobj_attribute mem_held_attr = __ATTR_RO(mem_held);
static struct kobj_attribute release_mem_attr = __ATTR(release_mem, 0200, NULL, release_mem_store);
static struct kobj_attribute dump_id_attr = __ATTR_RO(dump_id);
static struct kobj_attribute progress_attr = __ATTR_RW_MODE(progress, 0600);

static struct attribute *hadump_attrs[] = {
	&enabled_attr.attr,
	&registered_attr.attr,
	&mem_held_attr.attr,
	&release_mem_attr.attr,
	&dump_id_attr.attr,
	&progress_attr.attr,
	NULL
};

static struct bin_attribute regions_attr = {
	.attr = { .name = "regions", .mode = 0400 },
	.read = regions_read,
};

static struct bin_attribute node_attr = {
	.attr = { .name = "node", .mode = 0400 },
	.read = node_read,
};

static const struct attribute_group hadump_group = { .attrs = hadump_attrs };

static struct kobject *hadump_kobj;

int hadump_sysfs_init(void)
{
	int rc;

	hadump_kobj = kobject_create_and_add("hadump", kernel_kobj);
	if (!hadump_kobj)
		return -ENOMEM;
	rc = sysfs_create_group(hadump_kobj, &hadump_group);
	/* One by one: whether a group's list of them is const depends on the kernel, too. */
	if (!rc)
		rc = sysfs_create_bin_file(hadump_kobj, &regions_attr);
	if (!rc)
		rc = sysfs_create_bin_file(hadump_kobj, &node_attr);
	if (!rc && hadump_dump) {
		set_bit(0, &release_region_there);
		rc = sysfs_create_file(kernel_kobj, &release_region_attr.attr);
		if (rc)
			clear_bit(0, &release_region_there);
	}
	if (rc)
		hadump_sysfs_exit();
	return rc;
}

void hadump_sysfs_exit(void)
{
	if (test_and_clear_bit(0, &release_region_there))
		sysfs_remove_file(kernel_kobj, &release_region_attr.attr);
	kobject_put(hadump_kobj);
	kvfree(regions_text);
	regions_text = NULL;
}
