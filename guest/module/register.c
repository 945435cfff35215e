// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registration with the agent through xenstore; docs/abi/xenstore.md has the keys.
 *
 * Everything is written by one work item from the state as it is then, all keys in one transaction,
 * at most once a second. So it can be asked for at any time, and a restarted agent finds the truth.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/module.h>

#include "hadump.h"

#if IS_ENABLED(CONFIG_XEN)

#include <linux/crash_core.h>
#include <linux/jiffies.h>
#include <linux/panic.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <xen/xen.h>
#include <xen/xenbus.h>
/*
 * Linux commit 443cbaf9e2fd ("crash: split vmcoreinfo exporting code out from crash_core.c"), in
 * v6.9.
 */
#if __has_include(<linux/vmcore_info.h>)
#include <linux/vmcore_info.h>
#endif

static char *mode;
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "added or registered: the save area; default: what the agent asks for");

/* Protects all below; taken before hadump_lock. */
static DEFINE_MUTEX(xs_lock);
static bool xs_ready;		/* xenstore answers */
static bool watching;		/* agent_watch is registered */
static bool wanted = true;	/* the admin wants registration */
static bool written;		/* our keys are there */
static bool returned;		/* the dump is over and the agent has its memory back */
static struct hadump_range reserved;	/* registered mode's save area; else empty */
static unsigned long last_write;	/* jiffies */

/*
 * A reservation that failed is tried again by itself, at growing intervals: the pages in the way may
 * be gone by then, but each try moves memory about.
 */
#define RETRY_FIRST (5 * HZ)
#define RETRY_MOST (3600 * HZ)
static u64 missing;		/* bytes that could not be reserved; 0: none */
static unsigned long retry_wait, retry_at;	/* jiffies */

static bool is_text(const char *text, const char *name)
{
	return text && !strcmp(text, name);
}

/* The agent's key as a string that the caller frees; NULL when it is not there. */
static char *read_agent(const char *key)
{
	char *value = xenbus_read(XBT_NIL, HADUMP_XS_AGENT, key, NULL);

	return IS_ERR(value) ? NULL : value;
}

static u64 read_agent_number(const char *key)
{
	char *text = read_agent(key);
	u64 value = 0;

	if (text && kstrtoull(text, 10, &value))
		value = 0;
	kfree(text);
	return value;
}

static bool wants_registered_mode(void)
{
	char *asked;
	bool result;

	if (is_text(mode, "added") || is_text(mode, "registered"))
		return is_text(mode, "registered");
	asked = read_agent(HADUMP_XS_AGENT_MODE);
	result = is_text(asked, "registered");
	kfree(asked);
	return result;
}

static void retry(struct work_struct *work)
{
	hadump_publish();
}

static DECLARE_DELAYED_WORK(retry_work, retry);

/* xs_lock held. */
static void note_missing(u64 bytes)
{
	if (bytes == missing) {
		retry_wait = min_t(unsigned long, retry_wait * 2, RETRY_MOST);
	} else {
		pr_warn("cannot reserve %llu bytes, using mode added until it can\n", bytes);
		retry_wait = RETRY_FIRST;
	}
	missing = bytes;
	retry_at = jiffies + retry_wait;
	cancel_delayed_work(&retry_work);
	schedule_delayed_work(&retry_work, retry_wait);
}

/* Makes the reservation fit the mode; without one the mode is added. xs_lock held. */
static void update_reservation(void)
{
	u64 bytes = 0;

	if (wanted && wants_registered_mode())
		bytes = round_up(read_agent_number(HADUMP_XS_AGENT_RESERVE), PAGE_SIZE);
	if (bytes && bytes == missing && time_before(jiffies, retry_at))
		return;
	if (bytes == hadump_range_size(reserved)) {
		missing = 0;
		return;
	}
	if (hadump_range_size(reserved))
		hadump_unreserve(reserved);
	reserved = (struct hadump_range){ };
	if (bytes >= HADUMP_MAX_ADDRESS ||
	    (bytes && hadump_reserve(bytes, read_agent_number(HADUMP_XS_AGENT_WINDOW),
				     &reserved))) {
		note_missing(bytes);
		return;
	}
	missing = 0;
	if (bytes)
		pr_info("save area reserved: %#llx-%#llx\n", reserved.start, reserved.end);
}

/*
 * In registered mode the next save area has to lie where the last one did (see memory.c): taken at
 * once, before others have pages there. It is announced when the dump's end has been.
 */
void hadump_dump_is_over(void)
{
	mutex_lock(&xs_lock);
	if (xs_ready && hadump_dump->node.registered)
		update_reservation();
	mutex_unlock(&xs_lock);
}

/* What is written in one go. */
struct report {
	const char *state;
	bool dump;		/* one waits */
	bool registered_mode;
	struct hadump_range save_area;
	u64 held;
	char progress[HADUMP_PROGRESS_MAX + 1];
};

/* xs_lock held. */
static void make_report(struct report *r)
{
	memset(r, 0, sizeof(*r));
	mutex_lock(&hadump_lock);
	if (hadump_dump && !returned) {
		r->dump = !hadump_dump->done;
		r->state = hadump_dump->done ? HADUMP_STATE_DONE :
			   hadump_dump->touched ? HADUMP_STATE_SAVING : HADUMP_STATE_WAITING;
		r->held = r->dump ? hadump_held_bytes(&hadump_dump->layout) : 0;
		r->registered_mode = hadump_dump->node.registered;
		r->save_area = hadump_dump->node.save_area;
	} else {
		r->state = HADUMP_STATE_REGISTERED;
		r->registered_mode = hadump_range_size(reserved);
		r->save_area = reserved;
	}
	mutex_unlock(&hadump_lock);
	hadump_get_progress(r->progress);
}

static void put_key(struct xenbus_transaction t, int *rc, const char *key, const char *value)
{
	if (!*rc)
		*rc = xenbus_write(t, HADUMP_XS_GUEST, key, value);
}

static void put_pair(struct xenbus_transaction t, int *rc, const char *key, u64 a, u64 b)
{
	char text[48];

	snprintf(text, sizeof(text), "0x%llx 0x%llx", a, b);
	put_key(t, rc, key, text);
}

static void put_id(struct xenbus_transaction t, int *rc)
{
	char text[40];

	snprintf(text, sizeof(text), "%*phN", 16, hadump_dump->node.dump_id);
	put_key(t, rc, HADUMP_XS_DUMP_ID, text);
}

static int write_report(struct xenbus_transaction t, const struct report *r)
{
	char text[32];
	int rc = 0;

	put_key(t, &rc, HADUMP_XS_VERSION, __stringify(HADUMP_ABI_VERSION));
	put_pair(t, &rc, HADUMP_XS_VMCOREINFO, paddr_vmcoreinfo_note(), VMCOREINFO_NOTE_SIZE);
	snprintf(text, sizeof(text), "0x%lx", PAGE_OFFSET);
	put_key(t, &rc, HADUMP_XS_PAGE_OFFSET, text);
	put_key(t, &rc, HADUMP_XS_MODE, r->registered_mode ? "registered" : "added");
	if (r->registered_mode)
		put_pair(t, &rc, HADUMP_XS_SAVE_AREA, r->save_area.start,
			 hadump_range_size(r->save_area));
	else
		xenbus_rm(t, HADUMP_XS_GUEST, HADUMP_XS_SAVE_AREA);
	if (r->dump)
		put_id(t, &rc);
	else
		xenbus_rm(t, HADUMP_XS_GUEST, HADUMP_XS_DUMP_ID);
	snprintf(text, sizeof(text), "%llu", r->held);
	put_key(t, &rc, HADUMP_XS_MEM_HELD, text);
	put_key(t, &rc, HADUMP_XS_PROGRESS, r->progress);
	put_key(t, &rc, HADUMP_XS_STATE, r->state);
	return rc;
}

/* Writes the report, or removes every key when @r is NULL. */
static int write_all(const struct report *r)
{
	struct xenbus_transaction t;
	int rc;

	do {
		rc = xenbus_transaction_start(&t);
		if (rc)
			return rc;
		rc = r ? write_report(t, r) : xenbus_rm(t, HADUMP_XS_GUEST, "");
		if (rc) {
			xenbus_transaction_end(t, 1);
			return rc;
		}
		rc = xenbus_transaction_end(t, 0);
	} while (rc == -EAGAIN);
	return rc;
}

/* xs_lock held. */
static int write_state(void)
{
	struct report *r;
	int rc;

	if (!xs_ready)
		return -ENODEV;
	if (!hadump_dump || returned)
		update_reservation();
	last_write = jiffies;
	if (!wanted && (!hadump_dump || returned)) {
		rc = written ? write_all(NULL) : 0;
		written = false;
		return rc;
	}
	r = kmalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	make_report(r);
	rc = write_all(r);
	written = !rc;
	if (rc)
		pr_warn("cannot write to xenstore (%d), continuing\n", rc);
	else if (r->registered_mode && !strcmp(r->state, HADUMP_STATE_DONE))
		returned = true;	/* nothing to wait for: the next report registers */
	kfree(r);
	return rc;
}

static void publish(struct work_struct *work)
{
	bool done, over;

	mutex_lock(&xs_lock);
	done = returned;
	if (xs_ready)
		write_state();
	over = returned && !done;
	mutex_unlock(&xs_lock);
	if (over)
		hadump_publish();
}

static DECLARE_DELAYED_WORK(publish_work, publish);

void hadump_publish(void)
{
	unsigned long next = READ_ONCE(last_write) + HZ, now = jiffies;

	if (READ_ONCE(xs_ready))
		schedule_delayed_work(&publish_work, time_before(now, next) ? next - now : 0);
}

/*
 * The agent has written. In added mode the dump is over for us when it has taken its memory back:
 * until then nobody may use that range.
 */
static void agent_changed(struct work_struct *work)
{
	char *state = read_agent(HADUMP_XS_AGENT_STATE);
	bool forget = false;

	mutex_lock(&xs_lock);
	if (hadump_dump && hadump_dump->done && !returned && state &&
	    !strcmp(state, "save-area-returned")) {
		returned = true;
		forget = true;
	}
	mutex_unlock(&xs_lock);
	kfree(state);
	if (forget)
		hadump_forget_save_area();
	hadump_publish();
}

static DECLARE_WORK(agent_work, agent_changed);

/* Runs in xenbus's thread, which must go on for the work's own requests. */
static void agent_wrote(struct xenbus_watch *watch, const char *path, const char *token)
{
	schedule_work(&agent_work);
}

static struct xenbus_watch agent_watch = {
	.node = HADUMP_XS_AGENT,
	.callback = agent_wrote,
};

static int xenstore_up(struct notifier_block *nb, unsigned long event, void *data)
{
	int rc = register_xenbus_watch(&agent_watch);

	watching = !rc;
	if (rc)
		pr_warn("cannot watch xenstore (%d), not seeing what the agent changes\n", rc);
	WRITE_ONCE(xs_ready, true);
	schedule_delayed_work(&publish_work, 0);
	return NOTIFY_DONE;
}

static struct notifier_block xenstore_notifier = { .notifier_call = xenstore_up };

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
	return register_xenstore_notifier(&xenstore_notifier);
}

void hadump_register_exit(void)
{
	if (!xen_domain() || xen_initial_domain())
		return;
	unregister_xenstore_notifier(&xenstore_notifier);
	if (watching)
		unregister_xenbus_watch(&agent_watch);
	mutex_lock(&xs_lock);
	wanted = false;		/* from here on nothing asks for another try */
	mutex_unlock(&xs_lock);
	cancel_work_sync(&agent_work);
	cancel_delayed_work_sync(&retry_work);
	cancel_delayed_work_sync(&publish_work);
	mutex_lock(&xs_lock);
	if (xs_ready)
		write_state();	/* removes the keys and the reservation */
	mutex_unlock(&xs_lock);
}

bool hadump_is_registered(void)
{
	bool result;

	mutex_lock(&xs_lock);
	result = written && (!hadump_dump || returned);
	mutex_unlock(&xs_lock);
	return result;
}

int hadump_set_registered(bool registered)
{
	int rc;

	mutex_lock(&xs_lock);
	if (hadump_dump && !returned) {
		rc = -EBUSY;
	} else if (!xs_ready) {
		rc = -ENODEV;
	} else if (registered && written) {
		rc = -EEXIST;
	} else {
		wanted = registered;
		rc = write_state();
	}
	mutex_unlock(&xs_lock);
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

bool hadump_is_registered(void)
{
	return false;
}

int hadump_set_registered(bool registered)
{
	return hadump_dump_waits() ? -EBUSY : -ENODEV;
}

#endif
