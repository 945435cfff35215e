/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module and the agent tell each other; docs/abi/xenstore.md has the keys.
 */
#ifndef HADUMP_XENSTORE_H
#define HADUMP_XENSTORE_H

#include "hadump.h"

/* All of the guest's keys. */
struct hadump_report {
	const char *state;
	const u8 *dump_id;	/* 16 bytes; NULL: no dump waits */
	bool registered_mode;
	struct hadump_range save_area;	/* only in registered mode */
	u64 held;
	u64 boot_kib;		/* 0: not known */
	bool can_rescue;	/* HADUMP_ABILITY_RESCUE */
	char progress[HADUMP_PROGRESS_MAX + 1];
};

/* Writes every key, in one transaction. Returns 0 or a negative errno. */
int hadump_write_keys(const struct hadump_report *r);
/* Removes every key. Returns 0 or a negative errno. */
int hadump_remove_keys(void);

/* Whether the agent's @key has this value. */
bool hadump_agent_says(const char *key, const char *value);
/* The agent's @key as a number; 0 when it is not there, or not a number. */
u64 hadump_agent_number(const char *key);

#endif /* HADUMP_XENSTORE_H */
