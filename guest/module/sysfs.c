// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/release_region and /sys/kernel/hadump/; docs/abi/sysfs.md says what they mean.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kobject.h>
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

static ssize_t boot_memory_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", hadump_boot_memory());
}

/* Input: KiB, decimal. -EINVAL for anything else, and for more than there is. */
static ssize_t boot_memory_store(struct kobject *kobj, struct kobj_attribute *attr,
				 const char *buf, size_t count)
{
	u64 kib;
	int rc = kstrtoull(buf, 10, &kib);

	if (!rc)
		rc = hadump_set_boot_memory(kib);
	if (rc)
		return -EINVAL;
	hadump_publish();
	return count;
}

/* ---- binary: longer than a page ---- */

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
	return hadump_read_regions(file, buf, offset, count);
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
static struct kobj_attribute refusal_attr = __ATTR_RO(refusal);
static struct kobj_attribute registered_attr = __ATTR_RW(registered);
static struct kobj_attribute mem_held_attr = __ATTR_RO(mem_held);
static struct kobj_attribute release_mem_attr = __ATTR(release_mem, 0200, NULL, release_mem_store);
static struct kobj_attribute dump_id_attr = __ATTR_RO(dump_id);
static struct kobj_attribute progress_attr = __ATTR_RW_MODE(progress, 0600);
static struct kobj_attribute boot_memory_attr = __ATTR_RW_MODE(boot_memory, 0600);

static struct attribute *hadump_attrs[] = {
	&enabled_attr.attr,
	&refusal_attr.attr,
	&registered_attr.attr,
	&mem_held_attr.attr,
	&release_mem_attr.attr,
	&dump_id_attr.attr,
	&progress_attr.attr,
	&boot_memory_attr.attr,
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
	hadump_forget_regions();
}
