// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "hv/xen/xen_headers.h"

namespace hadump {

/// A record of Xen's HVM save format (xen/include/public/hvm/save.h), or nothing when there is
/// none.
/// @param context  the whole one; a damaged record ends the search.
std::span<const std::byte> find_hvm_record(std::span<const std::byte> context, unsigned type,
                                           unsigned instance);

/// A vCPU's registers from its CPU record.
hadump_vcpu vcpu_from_record(unsigned id, const hvm_hw_cpu& record);
/// The same from the other interface, for a vCPU that Xen keeps no record for.
hadump_vcpu vcpu_from_context(unsigned id, const vcpu_guest_context_x86_64_t& context);

/// The record of a vCPU that has never been started and has no registers: its number, all else 0.
hadump_vcpu vcpu_never_started(unsigned id);

/// The records that put a domain's vCPUs into the state after power-on, vCPU 0 at a PVH entry
/// (xen/docs/misc/pvh.pandoc): CPU, local APIC and MTRR.
/// @param old  the domain's context before the reset: header and what must not change.
/// @return kBadData when `old` lacks a record.
Result<std::vector<std::byte>> make_boot_context(std::span<const std::byte> old, unsigned vcpus,
                                                 GuestPhys entry, GuestPhys start_info);

}  // namespace hadump
