/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's parts and what they share. hadump_main.c wires them; dump.c reads the dump node;
 * claim.c makes old memory ours; memory.c gives it back; online.c keeps Xen's balloon off, and
 * exchange.c trades frames with Xen; vmcore.c hides what was given, and mappings.c unmaps it;
 * sysfs.c talks to the admin, and regions.c lists memory for it; register.c talks to the agent
 * through xenstore.c, with reserve.c for the next save area and boot_memory.c for the next window;
 * suspend.c keeps the machine from being suspended.
 *
 * Each part calls only those further down (tests/shell/layers.sh): hadump_main, sysfs, suspend,
 * dump, claim, regions, register, xenstore, reserve, memory, boot_memory, online, vmcore, exchange,
 * mappings.
 */
#ifndef HADUMP_H
#define HADUMP_H

#include <linux/ioport.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "block_group.h"
#include "layout.h"
#include "node.h"

struct file;

/*
 * The dump that waits. Built once by init and never freed: /proc/vmcore outlives the dump, and what
 * has been released must stay hidden there. layout and resources are protected by hadump_lock, all
 * else does not change after init.
 */
struct hadump_dump {
	void *tree;			/* copy of the node; node's lists point into it */
	u32 tree_size;
	struct hadump_node node;
	struct hadump_layout layout;
	struct resource **block_res;	/* [layout.nr_blocks], at a group's first; NULL: given */
	struct resource *save_res;	/* added mode only */
	u8 *block_table;		/* BLOCKS in the save area; NULL once that is released */
	bool touched;			/* something has been released */
	bool done;			/* everything has, save area included */
};

/* Serialises every change of state; see each user. Never taken below the memory hotplug lock. */
extern struct mutex hadump_lock;
/* NULL: this boot has no dump. Set by init before anything else can run. */
extern struct hadump_dump *hadump_dump;

static inline bool hadump_dump_waits(void)
{
	return hadump_dump && !hadump_dump->done;
}

/* dump.c */

/*
 * Reads and checks the dump node at @address, and lays out what it describes.
 * Returns 0, or a negative errno, and has said why.
 */
int hadump_read_dump(u64 address, struct hadump_dump **ret);
void hadump_free_dump(struct hadump_dump *dump);

/* claim.c */

/*
 * Takes over the busy entries of the memory map that cover the dump.
 * Returns 0, -ENOMEM, or -EBUSY: a part has no such entry, or somebody uses it; nothing changed.
 */
int hadump_claim(struct hadump_dump *dump);

/* memory.c */

/*
 * Releases @length bytes from @start; docs/abi/sysfs.md has input and every errno. Takes
 * hadump_lock. *done: the save area was released by this, so the dump is over.
 */
int hadump_release(u64 start, u64 length, bool *done);

/* As hadump_release() for everything that is still held, then the save area. */
int hadump_release_all(bool *done);

/* Lets go of the range of an added save area, once the agent has taken the memory away. */
void hadump_forget_save_area(void);

/* vmcore.c */

/*
 * Sets up what the callback and the online path look at without locks, and registers the callback.
 * Returns 0, or a negative errno when /proc/vmcore is there and cannot be read.
 */
int hadump_vmcore_prepare(struct hadump_dump *dump);
void hadump_vmcore_undo(void);
/* The dump is ours: from here on only our callback decides what /proc/vmcore shows. */
void hadump_vmcore_guard(void);
/* For ever: what has once been on its way to Linux is never shown again. */
void hadump_vmcore_hide_block(const struct hadump_block *b);
void hadump_vmcore_hide_save_area(void);
/*
 * Waits until no read() or mmap() of /proc/vmcore is left that may have asked the callback before
 * the last change. Sleeps; hadump_lock held.
 */
void hadump_vmcore_wait_for_readers(void);
/* True for frames that Linux has back, or would not take; any context. */
bool hadump_pfn_is_given(unsigned long pfn);

/* mappings.c */

int hadump_mappings_init(void);
void hadump_mappings_exit(void);
/* To be called whenever the callback is asked; sleeps now and then. */
void hadump_note_reader(void);
/* Waits for every mmap() that may have asked the callback; hadump_lock held. */
void hadump_wait_for_mappers(void);
/*
 * Takes every mapping of these bytes of the crashed system, by original address, away from everybody.
 * To be called after they have been hidden, and after hadump_vmcore_wait_for_readers().
 */
void hadump_unmap(struct hadump_range r);

/* online.c */

/* NULL when memory can be given back here, or a sentence that says why not (refusal.h). */
const char *hadump_refusal(void);
/*
 * To be called before the first block is given; hadump_lock held.
 * Returns 0, -EOPNOTSUPP when there is a refusal, or -ENOMEM.
 */
int hadump_online_prepare(void);
/* Whether a block's frames are there all the time, while it is added and after. */
bool hadump_online_keeps_frames(void);
/*
 * To be called just before a group is added, and after Linux has taken it; both may change what Xen
 * has. The first may fail with a negative errno, and move holes (moved_holes.h).
 */
int hadump_before_add(struct hadump_layout *l, struct hadump_group g);
void hadump_after_add(const struct hadump_layout *l, struct hadump_group g);

/* exchange.c: frames for Xen are zeroed before they go */

/*
 * Gives Xen all of a block's memory; adds to *returned how many frames it took. Returns 0, or a
 * negative errno: none went.
 */
int hadump_return_block(const struct hadump_layout *l, const struct hadump_block *b,
			u64 *returned);
/*
 * Moves the holes of a block's first frames, [start, front_end), past them. Where Xen does not do
 * its part, the holes that are left stay where they are, and what it has got is a hole.
 */
void hadump_move_holes(const struct hadump_layout *l, struct hadump_block *b, u64 front_end);

/* reserve.c */

/* Registered mode's save area, or what has become of it. */
struct hadump_reservation {
	struct hadump_range range;	/* empty: none */
	u64 missing;		/* bytes that could not be reserved; 0: none */
	unsigned long retry_wait, retry_at;	/* jiffies; of what is missing */
};

/*
 * Gives up a reservation that has not this size, and makes one of @bytes, which may be 0, at or above
 * @above. What is missing is tried again at growing intervals, not before retry_at.
 */
void hadump_reservation_update(struct hadump_reservation *r, u64 bytes, u64 above);

/* regions.c */

/*
 * As read() of a file that is open as @file, and has the listing as it was when that was read from
 * offset 0. Returns the number of bytes, 0 at the end, -ENOMEM, or -EAGAIN: that listing is not kept
 * any more, to be read from the beginning again.
 */
ssize_t hadump_read_regions(const struct file *file, char *buf, loff_t offset, size_t count);
void hadump_forget_regions(void);

/* sysfs.c */
int hadump_sysfs_init(void);
void hadump_sysfs_exit(void);

/* register.c */
int hadump_register_init(void);
void hadump_register_exit(void);
/* To be called when the save area has been released, without hadump_lock; may take seconds. */
void hadump_dump_is_over(void);
/* Publishes the current state soon; any context that may sleep. */
void hadump_publish(void);
/* From the boot until the agent has seen the dump's end and has its memory back. */
bool hadump_dump_is_announced(void);
bool hadump_is_registered(void);
/* Returns 0, -EBUSY while a dump waits, -EEXIST, or -ENODEV without xenstore. */
int hadump_set_registered(bool registered);

#define HADUMP_PROGRESS_MAX 200
/* The saver's last line, without a newline; @buf has HADUMP_PROGRESS_MAX + 1 bytes. */
void hadump_get_progress(char *buf);
/* @length: at most HADUMP_PROGRESS_MAX. */
void hadump_set_progress(const char *line, size_t length);

/* boot_memory.c */
/* Notes what the boot has taken so far. */
void hadump_measure_boot(void);
/* KiB. */
u64 hadump_boot_memory(void);
/* What the boot scripts have measured. Returns 0, or -EINVAL for more than the system has. */
int hadump_set_boot_memory(u64 kib);

/* suspend.c */
void hadump_suspend_init(void);
void hadump_suspend_exit(void);

#endif /* HADUMP_H */
