// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

// The one place where Xen's headers come in. They need GNU extensions (CXX_EXTENSIONS of this
// directory), have no extern "C" of their own, and must be in this order.

extern "C" {
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xenstore.h>
#include <xentoollog.h>

#include <libxenvchan.h>
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/io/xs_wire.h>

// Exported by libxenctrl 4.17, but declared in one of its private headers only
// (tools/libs/ctrl/xc_private.h). A call for at most 1024 frames.
int xc_get_pfn_type_batch(xc_interface* xch, uint32_t dom, unsigned int num, xen_pfn_t* frames);
}
