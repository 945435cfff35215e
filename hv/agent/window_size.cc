// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/window_size.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "core/base/units.h"
#include "hv/rescue/window_plan.h"

namespace hadump {
namespace {

// Before the kernel counts its memory it has taken its own text, data and tables: 47 MiB beside the
// page structures in Debian 12's 6.1.
constexpr std::uint64_t kKernel = 64_MiB;
// Per-CPU areas, stacks of idle threads, and what grows with them.
constexpr std::uint64_t kPerVcpu = 2_MiB;
// The saver: chunks in flight, and page tables.
constexpr std::uint64_t kSaver = 32_MiB;
// A packed cpio archive, rather too large: a small initrd of Debian 12's, packed with zstd, has 2.2
// times the size.
constexpr std::uint64_t kUnpackedTimes2 = 7;
constexpr std::uint64_t kFirstPrograms = 48_MiB;
// It lies below the hole under 4 GiB, where memory ends at 3.75 GiB or somewhat less.
constexpr std::uint64_t kBelowTheHole = 3_GiB;
// What a save area has besides the window's copy, and the guest beside both.
constexpr std::uint64_t kBesideTheCopy = 128_MiB;
// More than any guest has, so that no sum overflows.
constexpr std::uint64_t kSane = HADUMP_MAX_ADDRESS;

// The largest whose copy a guest can reserve in what is left.
std::uint64_t most_beside_its_copy(std::uint64_t memory) {
  const std::uint64_t both = memory - std::min(memory, kBesideTheCopy);
  return std::max(kLeastWindow, round_down(both / 2, HADUMP_BLOCK_SIZE));
}

}  // namespace

WindowSize choose_window(const BootNeed& need, std::uint64_t most) {
  most = std::min(most, kBelowTheHole);
  const std::uint64_t ramdisk = std::min(need.ramdisk, kSane);
  const std::uint64_t taken = need.measured != 0 ? std::min(need.measured, kSane)
                                                 : ramdisk * kUnpackedTimes2 / 2 + kFirstPrograms;
  // The packed initrd is there until it is unpacked.
  const std::uint64_t boot = taken + ramdisk + kKernel + need.vcpus * kPerVcpu;
  const std::uint64_t wanted = round_up(boot + boot / 4 + kSaver, HADUMP_BLOCK_SIZE);
  WindowSize size;
  size.why = need.measured != 0 ? fmt::format("its boot took {}", format_size(need.measured))
                                : "by the size of its initrd, until its boot has been measured";
  size.bytes = std::clamp(wanted, std::min(kLeastWindow, most), most);
  if (wanted > most) size.why += "; that is more than window-max";
  if (need.reserves_copy && size.bytes > most_beside_its_copy(need.memory)) {
    size.bytes = most_beside_its_copy(need.memory);
    size.why += "; it must have room for the save area, too";
  }
  const std::uint64_t whole = round_down(need.memory, HADUMP_BLOCK_SIZE);
  const std::uint64_t fits = whole - std::min<std::uint64_t>(whole, HADUMP_BLOCK_SIZE);
  if (fits == 0 || fits >= size.bytes) return size;
  if (fits >= std::min(wanted, kLeastWindow)) {
    size.bytes = fits;
    size.why += "; it has no more";
  }
  return size;
}

std::uint64_t larger_window(const FrameSet& ram, std::uint64_t window, std::uint64_t next,
                            std::uint64_t most) {
  most = std::min(most, kBelowTheHole);
  std::uint64_t bytes = std::min(std::max(2 * window, next), most);
  while (bytes > window && !plan_window(ram, bytes)) bytes -= HADUMP_BLOCK_SIZE;
  return bytes > window ? bytes : 0;
}

}  // namespace hadump
