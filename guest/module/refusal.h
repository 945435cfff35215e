/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where memory must not be given back. Decisions only, as layout.h.
 */
#ifndef HADUMP_REFUSAL_H
#define HADUMP_REFUSAL_H

#include "layout.h"

/*
 * @pv: this is a PV guest.
 * @has_balloon: frames without memory can be put into Xen's balloon when their block comes online
 *	(CONFIG_XEN_BALLOON_MEMORY_HOTPLUG). Without that, Linux would use holes as RAM, and Xen drops
 *	what is written there.
 * @l: NULL: no dump waits.
 * Returns NULL, or a sentence that says why nothing may be given back.
 */
static inline const char *hadump_why_not(bool pv, bool has_balloon, const struct hadump_layout *l)
{
	if (pv)
		return "a PV guest cannot take memory back";
	if (l && l->nr_holes && !has_balloon)
		return "old memory has holes, and this kernel cannot keep them out of use (CONFIG_XEN_BALLOON_MEMORY_HOTPLUG is not set)";
	return NULL;
}

#endif /* HADUMP_REFUSAL_H */
