// SPDX-License-Identifier: GPL-2.0-only
/*
 * hadump: gives a crashed system's memory back to the system that runs after it.
 *
 * The agent in dom0 has booted this kernel in a small part of the memory; the rest still holds the
 * crashed system. The dump node, whose address is on the command line, describes it. This file
 * finds the node and starts the parts.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/crash_dump.h>
#include <linux/module.h>

#include "hadump.h"
#include "region_state.h"

static unsigned long long node_address;
module_param_named(node, node_address, ullong, 0444);
MODULE_PARM_DESC(node, "guest-physical address of the dump node; no dump waits without it");

/*
 * What the agent has held back of the command line is for the boot scripts, which read it there, and so
 * is its wish for a rescue boot. Both are known here because modprobe passes on all that begins with the
 * module's name. Whatever they are, the module must load.
 */
static int ignore(const char *val, const struct kernel_param *kp)
{
	return 0;
}

static const struct kernel_param_ops ignored_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = ignore,
};
module_param_cb(held, &ignored_ops, NULL, 0);
MODULE_PARM_DESC(held, "what the agent has held back of the command line; for the boot scripts");
module_param_cb(rescue, &ignored_ops, NULL, 0);
MODULE_PARM_DESC(rescue, "the initramfs is to save the dump; for its scripts");

/*
 * Everything up to the claim can fail and leaves no trace. What has been claimed stays so, because
 * free memory is what others take.
 */
static int find_dump(struct hadump_dump **ret)
{
	struct hadump_dump *dump;
	int rc = hadump_read_dump(node_address, &dump);

	if (rc)
		goto bad;
	rc = hadump_vmcore_prepare(dump);
	if (rc)
		goto free;
	rc = hadump_claim(dump);
	if (rc)
		goto undo;
	hadump_vmcore_guard();
	*ret = dump;
	return 0;
undo:
	hadump_vmcore_undo();
free:
	hadump_free_dump(dump);
bad:
	pr_err("the dump stays where it is, but it cannot be released (%d)\n", rc);
	return rc;
}

static int __init hadump_init(void)
{
	struct hadump_dump *dump;
	int rc;

	BUILD_BUG_ON(HADUMP_FRAME_SIZE != PAGE_SIZE);
	if (node_address) {
		rc = find_dump(&dump);
		if (rc)
			return rc;
		hadump_dump = dump;
		/*
		 * Never put: released frames must stay hidden in /proc/vmcore, and what is onlined
		 * again later must not get into the balloon.
		 */
		__module_get(THIS_MODULE);
		/*
		 * is_kdump_kernel() makes drivers save memory: blk-mq then uses one queue of depth
		 * 64. This system goes on in production. /proc/vmcore read its headers at
		 * fs_initcall and never looks at the address again.
		 */
		elfcorehdr_addr = ELFCORE_ADDR_MAX;
		pr_info("a dump waits: %*phN, %llu MiB held\n", 16, dump->node.dump_id,
			hadump_held_bytes(&dump->layout) >> 20);
		if (hadump_refusal())
			pr_err("it cannot be released: %s\n", hadump_refusal());
	}

	hadump_measure_boot();
	hadump_suspend_init();
	rc = hadump_sysfs_init();
	if (rc)
		goto failed;
	rc = hadump_register_init();
	if (rc && !hadump_dump) {
		hadump_sysfs_exit();
		goto failed;
	}
	if (rc)
		pr_warn("cannot register with the agent (%d), the dump can be released\n", rc);
	return 0;

failed:
	/* With a dump claimed the code must stay; without files nothing can be released. */
	if (hadump_dump)
		return 0;
	hadump_suspend_exit();
	return rc;
}

static void __exit hadump_exit(void)
{
	/* Only without a dump, see hadump_init(). The files first: a write asks for work. */
	hadump_suspend_exit();
	hadump_sysfs_exit();
	hadump_register_exit();
}

module_init(hadump_init);
module_exit(hadump_exit);

MODULE_DESCRIPTION("Hypervisor-assisted dump: release of a crashed system's memory");
MODULE_AUTHOR("The hadump authors");
MODULE_LICENSE("GPL");
