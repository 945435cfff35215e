// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string_view>

#include "core/vmcore/source.h"

namespace hadump {

/// `source` with this VMCOREINFO in place of its own.
/// @return kBadData for a text without OSRELEASE.
Result<std::unique_ptr<VmcoreSource>> with_vmcoreinfo(std::unique_ptr<VmcoreSource> source,
                                                      std::string_view text);

/// So much of a dump is searched: from both ends of the memory inwards, because Linux allocates
/// the note's page early, when the allocator still hands out what lies at the ends.
inline constexpr std::uint64_t kMaxSearchedMemory = 64_GiB;

/// `source`; without a VMCOREINFO of its own, with what is found in its memory.
Result<std::unique_ptr<VmcoreSource>> with_found_vmcoreinfo(std::unique_ptr<VmcoreSource> source);

}  // namespace hadump
