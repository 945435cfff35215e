// SPDX-License-Identifier: GPL-2.0-only
/*
 * The keys in xenstore; docs/abi/xenstore.md.
 */
#include <linux/crash_core.h>
#include <linux/errno.h>
#include <linux/slab.h>
#include <xen/xenbus.h>
/*
 * Linux commit 443cbaf9e2fd ("crash: split vmcoreinfo exporting code out from crash_core.c"), in
 * v6.9.
 */
#if __has_include(<linux/vmcore_info.h>)
#include <linux/vmcore_info.h>
#endif

#include "xenstore.h"

/* The agent's key as a string that the caller frees; NULL when it is not there. */
static char *read_agent(const char *key)
{
	char *value = xenbus_read(XBT_NIL, HADUMP_XS_AGENT, key, NULL);

	return IS_ERR(value) ? NULL : value;
}

bool hadump_agent_says(const char *key, const char *value)
{
	char *text = read_agent(key);
	bool result = text && !strcmp(text, value);

	kfree(text);
	return result;
}

u64 hadump_agent_number(const char *key)
{
	char *text = read_agent(key);
	u64 value = 0;

	if (text && kstrtoull(text, 10, &value))
		value = 0;
	kfree(text);
	return value;
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

static int write_keys(struct xenbus_transaction t, const struct hadump_report *r)
{
	char text[40];
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
	if (r->dump_id) {
		snprintf(text, sizeof(text), "%*phN", 16, r->dump_id);
		put_key(t, &rc, HADUMP_XS_DUMP_ID, text);
	} else {
		xenbus_rm(t, HADUMP_XS_GUEST, HADUMP_XS_DUMP_ID);
	}
	snprintf(text, sizeof(text), "%llu", r->held);
	put_key(t, &rc, HADUMP_XS_MEM_HELD, text);
	snprintf(text, sizeof(text), "%llu", r->boot_kib);
	put_key(t, &rc, HADUMP_XS_BOOT_MEMORY, text);
	put_key(t, &rc, HADUMP_XS_ABILITIES, r->can_rescue ? HADUMP_ABILITY_RESCUE : "");
	put_key(t, &rc, HADUMP_XS_PROGRESS, r->progress);
	put_key(t, &rc, HADUMP_XS_STATE, r->state);
	return rc;
}

/* @r: NULL to remove every key. */
static int transact(const struct hadump_report *r)
{
	struct xenbus_transaction t;
	int rc;

	do {
		rc = xenbus_transaction_start(&t);
		if (rc)
			return rc;
		rc = r ? write_keys(t, r) : xenbus_rm(t, HADUMP_XS_GUEST, "");
		if (rc) {
			xenbus_transaction_end(t, 1);
			return rc;
		}
		rc = xenbus_transaction_end(t, 0);
	} while (rc == -EAGAIN);
	return rc;
}

int hadump_write_keys(const struct hadump_report *r)
{
	return transact(r);
}

int hadump_remove_keys(void)
{
	return transact(NULL);
}
