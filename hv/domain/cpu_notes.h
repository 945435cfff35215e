// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/vmcore/source.h"

namespace hadump {

/// The notes of a core of one domain, in the order in which Linux writes its own: a PRSTATUS for
/// each vCPU, then VMCOREINFO.
/// @param vmcoreinfo_note  as read_vmcoreinfo() gives it; may be empty.
std::vector<ElfNote> notes_of(std::span<const hadump_vcpu> vcpus,
                              std::span<const std::byte> vmcoreinfo_note);

}  // namespace hadump
