// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/vmcore/address_space.h"
#include "core/vmcore/log_ring.h"

namespace hadump {

/// Of the log as it is printed. CONFIG_LOG_BUF_SHIFT is 25 at most, a ring of 32 MiB.
inline constexpr std::uint64_t kMaxLogBytes = 40_MiB;

/// The kernel's log as dmesg prints it: "[    1.234567] text", one or more lines for each record.
/// Control characters become \xNN.
///
/// Records that were being written at the moment of the crash, or that are damaged, are left out; a
/// loop in the ring ends after one turn. Of a longer log the newest kMaxLogBytes are kept, behind a
/// line that says so. Needs little memory beside what it returns.
///
/// @return as LogRing: kNotFound when VMCOREINFO lacks the ring's keys (older kernels), kBadData.
Result<std::string> kernel_log(const AddressSpace& space, const Vmcoreinfo& info);
/// The same, beginning with the dump's VMCOREINFO note.
Result<std::string> kernel_log(const VmcoreSource& source);

/// A record's text as it is printed, its further lines indented.
std::string printable_log_text(std::string_view text, std::string_view indent);

/// Who crashed and when, as far as VMCOREINFO says it.
struct CrashIdentity {
  std::string release;                        ///< "6.1.0-56-amd64"; empty when unknown.
  std::optional<std::uint64_t> crash_time_s;  ///< Seconds since 1970: CRASHTIME, set in a panic.
  std::string build_id;                       ///< Of vmlinux, hexadecimal; empty when unknown.
};
CrashIdentity crash_identity(const Vmcoreinfo& info);

}  // namespace hadump
