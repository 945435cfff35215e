// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of /proc/vmcore do not ask the callback again, so what was mapped before a release has to
 * be taken away: whoever looks at it afterwards gets SIGBUS, not the running kernel's memory.
 *
 * There may be several /proc, each with an inode of its own for the file, so all of them are looked
 * for. A mapping that is being made belongs to no inode yet; its maker holds its mm's mmap_lock, and
 * is known, since it has asked the callback.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/elf.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>

#include "hadump.h"

/* A PT_LOAD: original guest-physical bytes, and where they are in the file. */
struct load {
	struct hadump_range memory;
	u64 offset;
};

/* What does not change after init. */
static struct {
	struct load *loads;	/* ascending by address */
	u32 nr;
	struct file_system_type *type;	/* NULL: there is no /proc/vmcore */
	unsigned long ino;
	const struct file_operations *fop;
} vmcore;

/* ---- who may be making a mapping ---- */

struct reader {
	struct list_head list;
	struct mm_struct *mm;	/* held by mmgrab(), so that its address is not used again */
	u64 waited;		/* the last round that has waited for it */
};

static LIST_HEAD(readers);
static DEFINE_SPINLOCK(readers_lock);
static struct mm_struct *last_reader;	/* one that is in the list; a hint */

/* readers_lock held. Moves the readers whose processes have ended to @dead. */
static void prune(struct list_head *dead)
{
	struct reader *r, *next;

	list_for_each_entry_safe(r, next, &readers, list) {
		if (atomic_read(&r->mm->mm_users))
			continue;
		if (last_reader == r->mm)
			WRITE_ONCE(last_reader, NULL);
		list_move(&r->list, dead);
	}
}

static void drop(struct list_head *dead)
{
	struct reader *r, *next;

	list_for_each_entry_safe(r, next, dead, list) {
		mmdrop(r->mm);
		kfree(r);
	}
}

static bool is_noted(const struct mm_struct *mm)
{
	const struct reader *r;

	list_for_each_entry(r, &readers, list)
		if (r->mm == mm)
			return true;
	return false;
}

void hadump_note_reader(void)
{
	struct mm_struct *mm = current->mm;
	struct reader *r;
	LIST_HEAD(dead);
	bool noted;

	/* Ours is alive, so it is not pruned: a hint that says so is true. */
	if (!mm || READ_ONCE(last_reader) == mm)
		return;
	spin_lock(&readers_lock);
	noted = is_noted(mm);
	if (noted)
		WRITE_ONCE(last_reader, mm);
	spin_unlock(&readers_lock);
	if (noted)
		return;

	/* Two threads may note the same one; that does no harm. */
	r = kmalloc(sizeof(*r), GFP_KERNEL | __GFP_NOFAIL);
	mmgrab(mm);
	r->mm = mm;
	r->waited = 0;
	spin_lock(&readers_lock);
	prune(&dead);
	list_add(&r->list, &readers);
	WRITE_ONCE(last_reader, mm);
	spin_unlock(&readers_lock);
	drop(&dead);
}

/* The next one that round @round has not waited for yet, with a user's reference; or NULL. */
static struct mm_struct *next_reader(u64 round)
{
	struct mm_struct *mm = NULL;
	struct reader *r;

	spin_lock(&readers_lock);
	list_for_each_entry(r, &readers, list) {
		if (r->waited == round)
			continue;
		r->waited = round;
		if (!mmget_not_zero(r->mm))
			continue;
		mm = r->mm;
		break;
	}
	spin_unlock(&readers_lock);
	return mm;
}

void hadump_wait_for_mappers(void)
{
	static u64 round;	/* protected by hadump_lock */
	struct mm_struct *mm;

	round++;
	while ((mm = next_reader(round))) {
		mmap_read_lock(mm);
		mmap_read_unlock(mm);
		mmput(mm);
	}
}

/* ---- the file ---- */

static int compare(const void *a, const void *b)
{
	const struct load *x = a, *y = b;

	return x->memory.start < y->memory.start ? -1 : x->memory.start > y->memory.start;
}

static int read_exactly(struct file *file, void *buf, size_t size, loff_t pos)
{
	ssize_t n;

	while (size) {
		n = kernel_read(file, buf, size, &pos);
		if (n <= 0)
			return n ? n : -EIO;
		buf += n;
		size -= n;
	}
	return 0;
}

static void keep_loads(const Elf64_Phdr *headers, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (headers[i].p_type != PT_LOAD)
			continue;
		vmcore.loads[vmcore.nr++] = (struct load){
			{ headers[i].p_paddr, headers[i].p_paddr + headers[i].p_memsz },
			headers[i].p_offset
		};
	}
	sort(vmcore.loads, vmcore.nr, sizeof(*vmcore.loads), compare, NULL);
}

static int read_loads(struct file *file)
{
	Elf64_Phdr *headers;
	Elf64_Ehdr elf;
	int rc = read_exactly(file, &elf, sizeof(elf), 0);

	if (rc)
		return rc;
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    elf.e_phentsize != sizeof(*headers))
		return -EINVAL;
	headers = kvmalloc_array(elf.e_phnum + 1, sizeof(*headers), GFP_KERNEL);
	vmcore.loads = kvmalloc_array(elf.e_phnum + 1, sizeof(*vmcore.loads), GFP_KERNEL);
	rc = headers && vmcore.loads ? 0 : -ENOMEM;
	if (!rc)
		rc = read_exactly(file, headers, elf.e_phnum * sizeof(*headers), elf.e_phoff);
	if (!rc)
		keep_loads(headers, elf.e_phnum);
	kvfree(headers);
	return rc;
}

int hadump_mappings_init(void)
{
	struct file *file = filp_open("/proc/vmcore", O_RDONLY, 0);
	int rc;

	/* modprobe has read the node's address in /proc, so that is there; the file need not be. */
	if (IS_ERR(file) && PTR_ERR(file) == -ENOENT)
		return 0;
	rc = PTR_ERR_OR_ZERO(file);
	if (!rc) {
		rc = read_loads(file);
		vmcore.type = file_inode(file)->i_sb->s_type;
		vmcore.ino = file_inode(file)->i_ino;
		vmcore.fop = file_inode(file)->i_fop;
		filp_close(file, NULL);
	}
	if (rc) {
		pr_err("/proc/vmcore cannot be read (%d)\n", rc);
		hadump_mappings_exit();
	}
	return rc;
}

void hadump_mappings_exit(void)
{
	LIST_HEAD(all);

	spin_lock(&readers_lock);
	list_splice_init(&readers, &all);
	WRITE_ONCE(last_reader, NULL);
	spin_unlock(&readers_lock);
	drop(&all);
	kvfree(vmcore.loads);
	memset(&vmcore, 0, sizeof(vmcore));
}

/* ---- taking away ---- */

/* Index of the first load that ends after @pos. */
static u32 load_after(u64 pos)
{
	u32 low = 0, high = vmcore.nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (vmcore.loads[middle].memory.end <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void unmap_file(struct address_space *mapping, struct hadump_range r)
{
	u32 i;

	for (i = load_after(r.start); i < vmcore.nr; i++) {
		const struct load *load = &vmcore.loads[i];
		struct hadump_range part = hadump_range_common(load->memory, r);

		if (load->memory.start >= r.end)
			break;
		unmap_mapping_range(mapping, load->offset + (part.start - load->memory.start),
				    hadump_range_size(part), 1);
	}
}

static void unmap_in(struct super_block *sb, void *data)
{
	const struct hadump_range *r = data;
	struct inode *inode, *held = NULL;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (inode->i_ino != vmcore.ino || inode->i_fop != vmcore.fop || !igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		unmap_file(inode->i_mapping, *r);
		iput(held);
		held = inode;	/* keeps its place in the list */
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(held);
}

void hadump_unmap(struct hadump_range r)
{
	if (vmcore.type && r.start < r.end)
		iterate_supers_type(vmcore.type, unmap_in, &r);
}
