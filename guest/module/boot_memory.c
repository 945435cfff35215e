// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory the boot has taken, from which hadumpd chooses the window.
 *
 * Measured when the module loads, which is while the initramfs is in memory, unpacked; the boot
 * scripts write the larger number of the finished boot.
 */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/vmstat.h>

#include "hadump.h"

static u64 boot_kib;

static u64 to_kib(u64 pages)
{
	return pages << (PAGE_SHIFT - 10);
}

/*
 * Not what /proc/meminfo calls available: that leaves out reserves which grow with the memory, and are
 * small in the window. Files of an initramfs are on neither list.
 */
void hadump_measure_boot(void)
{
	u64 unused = global_node_page_state(NR_ACTIVE_FILE) + global_node_page_state(NR_INACTIVE_FILE);
	struct sysinfo info;

	si_meminfo(&info);
	unused += info.freeram;
	WRITE_ONCE(boot_kib, info.totalram > unused ? to_kib(info.totalram - unused) : 0);
}

u64 hadump_boot_memory(void)
{
	return READ_ONCE(boot_kib);
}

int hadump_set_boot_memory(u64 kib)
{
	struct sysinfo info;

	si_meminfo(&info);
	if (kib > to_kib(info.totalram))
		return -EINVAL;
	WRITE_ONCE(boot_kib, kib);
	return 0;
}
