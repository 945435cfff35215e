// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/units.h"

namespace hadump {

// What a sane dump cannot exceed; a header that says more is refused before memory is spent on it.
// Ballooned guests have many holes: twice as many as a field of 16 bits can count. To convert such
// a file takes less than 64 MiB.
inline constexpr std::uint64_t kMaxProgramHeaders = 131072;
inline constexpr std::uint64_t kMaxNoteBytes = 64_MiB;  // 8192 CPUs need about 3 MiB
inline constexpr std::uint64_t kMaxNotes = 65536;
inline constexpr unsigned kMaxPhysBits = 52;  // x86-64's architectural limit

/// However many pages were left out, a dump has page tables and struct pages, and so some bytes for
/// each MiB of memory. A smaller file that claims more than 64 GiB is refused.
inline constexpr std::uint64_t kMaxEmptyMemory = 64_GiB;
inline constexpr std::uint64_t kMaxMemoryPerByte = 256_KiB;

}  // namespace hadump
