// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the machine from being suspended while a dump waits.
 *
 * "xl save", "xl migrate" and hibernation ask every device first. The memory that a dump waits in is
 * beyond what the toolstack would give the restored domain, and the agent would take the domain that
 * is destroyed in between for gone. So a device of ours says no, and the machine runs on.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm.h>

#include "hadump.h"

static struct platform_device *device;

static int prepare(struct device *dev)
{
	if (!hadump_dump_is_announced())
		return 0;
	pr_warn("not suspending: a dump waits, and the machine can be saved or migrated once it is over\n");
	return -EBUSY;
}

/* After a suspend, whatever came of it: a domain that was restored has nothing of ours in xenstore. */
static void complete_suspend(struct device *dev)
{
	hadump_publish();
}

static const struct dev_pm_ops pm_ops = {
	.prepare = prepare,
	.complete = complete_suspend,
};

static struct platform_driver driver = {
	.driver = {
		.name = KBUILD_MODNAME,
		.pm = &pm_ops,
	},
};

static int probe(struct platform_device *pdev)
{
	return 0;
}

void hadump_suspend_init(void)
{
	device = platform_create_bundle(&driver, probe, NULL, 0, NULL, 0);
	if (IS_ERR(device))
		pr_warn("no device (%ld), so nothing keeps the machine from being suspended\n",
			PTR_ERR(device));
}

void hadump_suspend_exit(void)
{
	if (IS_ERR_OR_NULL(device))
		return;
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}
