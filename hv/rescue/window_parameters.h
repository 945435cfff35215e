// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <string_view>

namespace hadump {

/// What becomes of a kernel parameter while the kernel runs in the window.
enum class WindowTreatment {
  kKept,
  kScaled,    ///< its number is made smaller, as the window is smaller than the memory
  kHeldBack,  ///< taken off the command line
  kReserved,  ///< held back whatever the policy says: hadumpd gives its own
};

/// What a number in a parameter's value counts.
enum class WindowUnit {
  kNone,
  kItems,
  kBytes,  ///< may end in K, M, G, T, P or E; Linux wants a power of two, or does not care
};

struct WindowParameter {
  std::string_view name;   ///< with '_' for '-'; one that ends in ".*" is a group
  std::string_view value;  ///< only values that begin so; empty: all
  WindowTreatment treatment;
  WindowUnit unit;  ///< of what is scaled
  bool comes_back;  ///< the guest's boot scripts set it when all memory is back
  std::string_view why;
};

/// The parameters that take memory by a wish and not by what is there, and those that look as if
/// they did. What is not here is kept. docs/real-machines.md has the same table for admins.
/// Sources: Linux 6.1, Documentation/admin-guide/kernel-parameters.txt; mm/hugetlb.c,
/// fs/namespace.c; reserve_mem= and its like from newer ones.
inline constexpr std::array kWindowParameters = std::to_array<WindowParameter>({
    {"hugepages", "", WindowTreatment::kHeldBack, WindowUnit::kNone, true,
     "would take the pages out of the window"},
    {"hugepagesz", "", WindowTreatment::kHeldBack, WindowUnit::kNone, true,
     "belongs to the `hugepages=` after it"},
    {"default_hugepagesz", "", WindowTreatment::kKept, WindowUnit::kNone, false,
     "takes no memory, and cannot be set later"},
    {"hugetlb_cma", "", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "reserves its size out of the window"},
    {"cma", "", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "reserves its size out of the window"},
    {"reserve_mem", "", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "reserves its size out of the window"},
    {"crashkernel", "", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "reserves its size out of the window"},
    {"kernelcore", "", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "divides the window into zones that are too small"},
    {"movablecore", "", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "divides the window into zones that are too small"},
    {"numa", "fake=", WindowTreatment::kHeldBack, WindowUnit::kNone, false,
     "divides the window into nodes that are too small"},
    {"log_buf_len", "", WindowTreatment::kScaled, WindowUnit::kBytes, false,
     "allocated at boot, whatever memory there is"},
    {"trace_buf_size", "", WindowTreatment::kScaled, WindowUnit::kBytes, false,
     "allocated at boot for each processor"},
    {"swiotlb", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "2 KiB for each, allocated at boot"},
    {"dhash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"ihash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"mhash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"mphash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"tcpmhash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"thash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"uhash_entries", "", WindowTreatment::kScaled, WindowUnit::kItems, false,
     "the size of a table that is made at boot"},
    {"mem", "", WindowTreatment::kKept, WindowUnit::kNone, false, "takes no memory: it is a limit"},
    {"page_owner", "", WindowTreatment::kKept, WindowUnit::kNone, false,
     "grows with the memory that is there"},
    {"slub_debug", "", WindowTreatment::kKept, WindowUnit::kNone, false,
     "grows with the memory that is used"},
    {"transparent_hugepage", "", WindowTreatment::kKept, WindowUnit::kNone, false,
     "takes no memory: such pages are split again when memory is short"},
    {"zswap.*", "", WindowTreatment::kKept, WindowUnit::kNone, false,
     "a share of the memory that is there"},
    {"vmalloc", "", WindowTreatment::kKept, WindowUnit::kNone, false,
     "addresses of 32-bit kernels, not memory"},
    {"memblock", "", WindowTreatment::kKept, WindowUnit::kNone, false, "messages only"},
    {"memmap", "", WindowTreatment::kReserved, WindowUnit::kNone, false,
     "another memory map would give the old memory away before it is saved"},
    {"elfcorehdr", "", WindowTreatment::kReserved, WindowUnit::kNone, false, "hadumpd's own"},
    {"hadump.node", "", WindowTreatment::kReserved, WindowUnit::kNone, false, "hadumpd's own"},
    {"hadump.held", "", WindowTreatment::kReserved, WindowUnit::kNone, false, "hadumpd's own"},
    {"hadump.rescue", "", WindowTreatment::kReserved, WindowUnit::kNone, false, "hadumpd's own"},
    {"memory_hotplug.memmap_on_memory", "", WindowTreatment::kReserved, WindowUnit::kNone, false,
     "hadumpd's own"},
});

/// What is known of a parameter; nullptr: nothing, so it is kept.
/// @param name  with '_' for '-'.
const WindowParameter* find_window_parameter(std::string_view name, std::string_view value);

}  // namespace hadump
