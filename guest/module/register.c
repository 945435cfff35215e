// SPDX-License-Identifier: GPL-2.0
/*
 * Registration with the agent through xenstore; docs/abi/xenstore.md has the keys.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>

#include "hadump.h"

int hadump_register_init(void)
{
	return 0;
}

void hadump_register_exit(void)
{
}

void hadump_publish(void)
{
}

bool hadump_is_registered(void)
{
	return false;
}

int hadump_set_registered(bool registered)
{
	return hadump_dump_waits() ? -EBUSY : -ENODEV;
}
