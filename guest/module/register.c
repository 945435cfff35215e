// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registration with the agent.
 *
 * One work item does everything from the state as it is then, at most once a second: it follows the
 * agent, keeps the reservation, and writes all keys. So it can be asked for at any time, and a
 * restarted agent finds the truth.
 *
 * What is announced: *waiting* and *saving* while a dump waits, *done* until the agent has taken an
 * added save area back (in registered mode there is nothing to take), and *registered* from then on.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "hadump.h"

/* The saver's line. Protected by progress_lock. */
static char progress[HADUMP_PROGRESS_MAX + 1];
static DEFINE_MUTEX(progress_lock);

void hadump_get_progress(char *buf)
{
	mutex_lock(&progress_lock);
	strscpy(buf, progress, sizeof(progress));
	mutex_unlock(&progress_lock);
}

void hadump_set_progress(const char *line, size_t length)
{
	mutex_lock(&progress_lock);
	memcpy(progress, line, length);
	progress[length] = '\0';
	mutex_unlock(&progress_lock);
	hadump_publish();
}

#if IS_ENABLED(CONFIG_XEN)

#include <linux/jiffies.h>
#include <linux/panic.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <xen/xen.h>
#include <xen/xenbus.h>

#include "region_state.h"
#include "xenstore.h"

static char *mode;
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "added or registered: the save area; default: what the agent asks for");

/* Set by the initramfs' own script: whoever loads the module later knows nothing of the initramfs. */
static bool can_rescue;
module_param(can_rescue, bool, 0444);
MODULE_PARM_DESC(can_rescue, "the initramfs saves a dump when it is told to (hadump.rescue)");

static void publish(struct work_struct *work);
static void agent_wrote(struct xenbus_watch *watch, const char *path, const char *token);
static int xenstore_up(struct notifier_block *nb, unsigned long event, void *data);

static struct {
	struct mutex lock;	/* protects what follows; taken before hadump_lock */
	bool xenstore;		/* it answers */
	bool watching;		/* watch is registered */
	bool wanted;		/* the admin wants registration */
	bool written;		/* our keys are there */
	bool over;		/* there was a dump, and the agent has its memory back */
	unsigned long last_write;	/* jiffies */
	struct hadump_reservation reservation;

	struct delayed_work work;
	struct xenbus_watch watch;
	struct notifier_block notifier;
} reg = {
	.lock = __MUTEX_INITIALIZER(reg.lock),
	.wanted = true,
	.work = __DELAYED_WORK_INITIALIZER(reg.work, publish, 0),
	.watch = { .node = HADUMP_XS_AGENT, .callback = agent_wrote },
	.notifier = { .notifier_call = xenstore_up },
};

static bool is_text(const char *text, const char *name)
{
	return text && !strcmp(text, name);
}

/* A dump's end is still to be announced, or answered. Lock held. */
static bool dump_announced(void)
{
	return hadump_dump && !reg.over;
}

bool hadump_dump_is_announced(void)
{
	return hadump_dump && !READ_ONCE(reg.over);
}

static bool wants_registered_mode(void)
{
	if (is_text(mode, "added") || is_text(mode, "registered"))
		return is_text(mode, "registered");
	return hadump_agent_says(HADUMP_XS_AGENT_MODE, "registered");
}

/* Makes the reservation fit the mode; without one the mode is added. Lock held. */
static void update_reservation(void)
{
	u64 bytes = 0, above = 0;

	if (reg.wanted && wants_registered_mode()) {
		bytes = hadump_agent_number(HADUMP_XS_AGENT_RESERVE);
		above = hadump_agent_number(HADUMP_XS_AGENT_WINDOW);
	}
	hadump_reservation_update(&reg.reservation, bytes, above);
}

/*
 * In registered mode the next save area has to lie where the last one did (see memory.c): taken at
 * once, before others have pages there. It is announced when the dump's end has been.
 */
void hadump_dump_is_over(void)
{
	mutex_lock(&reg.lock);
	if (reg.xenstore && hadump_dump->node.registered)
		update_reservation();
	mutex_unlock(&reg.lock);
}

/* Lock held. */
static void make_report(struct hadump_report *r)
{
	memset(r, 0, sizeof(*r));
	mutex_lock(&hadump_lock);
	if (dump_announced()) {
		r->state = hadump_dump->done ? HADUMP_STATE_DONE :
			   hadump_dump->touched ? HADUMP_STATE_SAVING : HADUMP_STATE_WAITING;
		if (!hadump_dump->done) {
			r->dump_id = hadump_dump->node.dump_id;
			r->held = hadump_held_bytes(&hadump_dump->layout);
		}
		r->registered_mode = hadump_dump->node.registered;
		r->save_area = hadump_dump->node.save_area;
	} else {
		r->state = HADUMP_STATE_REGISTERED;
		r->registered_mode = hadump_range_size(reg.reservation.range);
		r->save_area = reg.reservation.range;
	}
	mutex_unlock(&hadump_lock);
	r->boot_kib = hadump_boot_memory();
	r->can_rescue = can_rescue;
	hadump_get_progress(r->progress);
}

static int remove_state(void)
{
	int rc = reg.written ? hadump_remove_keys() : 0;

	reg.written = false;
	return rc;
}

/* Writes what is so now. *again: this has brought the next state. Lock held. */
static int write_state(bool *again)
{
	struct hadump_report *r;
	int rc;

	*again = false;
	if (!reg.xenstore)
		return -ENODEV;
	if (!dump_announced())
		update_reservation();
	WRITE_ONCE(reg.last_write, jiffies);
	if (!reg.wanted && !dump_announced())
		return remove_state();

	r = kmalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	make_report(r);
	rc = hadump_write_keys(r);
	reg.written = !rc;
	if (rc) {
		pr_warn("cannot write to xenstore (%d), continuing\n", rc);
	} else if (r->registered_mode && !strcmp(r->state, HADUMP_STATE_DONE)) {
		WRITE_ONCE(reg.over, true);	/* nothing to wait for: the next report registers */
		*again = true;
	}
	kfree(r);
	return rc;
}

/*
 * In added mode the dump is over for us when the agent has taken its memory back: until then nobody
 * may use that range. Lock held.
 */
static void follow_agent(void)
{
	if (!dump_announced() || !hadump_dump->done ||
	    !hadump_agent_says(HADUMP_XS_AGENT_STATE, "save-area-returned"))
		return;
	WRITE_ONCE(reg.over, true);
	hadump_forget_save_area();
}

static void publish_by(unsigned long next)
{
	unsigned long now = jiffies;

	/* It may wait already, for something later. */
	cancel_delayed_work(&reg.work);
	schedule_delayed_work(&reg.work, time_before(now, next) ? next - now : 0);
}

static void publish(struct work_struct *work)
{
	bool again = false;

	mutex_lock(&reg.lock);
	if (reg.xenstore) {
		follow_agent();
		write_state(&again);
	}
	if (again)
		publish_by(reg.last_write + HZ);
	else if (reg.reservation.missing && !dump_announced())
		publish_by(reg.reservation.retry_at);
	mutex_unlock(&reg.lock);
}

void hadump_publish(void)
{
	if (READ_ONCE(reg.xenstore))
		publish_by(READ_ONCE(reg.last_write) + HZ);
}

/* Runs in xenbus's thread, which must go on for the work's own requests. */
static void agent_wrote(struct xenbus_watch *watch, const char *path, const char *token)
{
	hadump_publish();
}

static int xenstore_up(struct notifier_block *nb, unsigned long event, void *data)
{
	int rc = register_xenbus_watch(&reg.watch);

	reg.watching = !rc;
	if (rc)
		pr_warn("cannot watch xenstore (%d), not seeing what the agent changes\n", rc);
	WRITE_ONCE(reg.xenstore, true);
	publish_by(jiffies);
	return NOTIFY_DONE;
}

int hadump_register_init(void)
{
	if (mode && *mode && !is_text(mode, "added") && !is_text(mode, "registered"))
		pr_warn("mode=%s: neither added nor registered, doing what the agent asks for\n",
			mode);
	if (!xen_domain() || xen_initial_domain())
		return 0;
	if (panic_timeout > 0)
		pr_info("panic=%d: the agent sees a crash only after these seconds\n",
			panic_timeout);
	/* Calls back at once when xenstore is up already. */
	return register_xenstore_notifier(&reg.notifier);
}

void hadump_register_exit(void)
{
	bool again;

	if (!xen_domain() || xen_initial_domain())
		return;
	unregister_xenstore_notifier(&reg.notifier);
	if (reg.watching)
		unregister_xenbus_watch(&reg.watch);
	mutex_lock(&reg.lock);
	reg.wanted = false;
	write_state(&again);	/* removes the keys and the reservation */
	mutex_unlock(&reg.lock);
	/* Without a reservation that is missing the work does not ask for itself again. */
	cancel_delayed_work_sync(&reg.work);
}

bool hadump_is_registered(void)
{
	bool result;

	mutex_lock(&reg.lock);
	result = reg.written && !dump_announced();
	mutex_unlock(&reg.lock);
	return result;
}

int hadump_set_registered(bool registered)
{
	bool again;
	int rc;

	mutex_lock(&reg.lock);
	if (dump_announced()) {
		rc = -EBUSY;
	} else if (!reg.xenstore) {
		rc = -ENODEV;
	} else if (registered && reg.written) {
		rc = -EEXIST;
	} else {
		reg.wanted = registered;
		rc = write_state(&again);
	}
	mutex_unlock(&reg.lock);
	return rc;
}

#else /* CONFIG_XEN */

int hadump_register_init(void)
{
	return 0;
}

void hadump_dump_is_over(void)
{
}

void hadump_register_exit(void)
{
}

void hadump_publish(void)
{
}

bool hadump_dump_is_announced(void)
{
	return hadump_dump_waits();
}

bool hadump_is_registered(void)
{
	return false;
}

int hadump_set_registered(bool registered)
{
	return hadump_dump_waits() ? -EBUSY : -ENODEV;
}

#endif
