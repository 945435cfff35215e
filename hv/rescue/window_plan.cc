// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/window_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/text.h"

namespace hadump {
namespace {

constexpr std::uint64_t kBlockFrames = HADUMP_BLOCK_SIZE >> kFrameShift;
// A vCPU's HVM records, measured on Xen 4.17: about 7 KiB with XSAVE; its note and its record.
constexpr std::uint64_t kBytesPerVcpu = 16_KiB;
// Room for translation records and PT_LOADs of a guest whose balloon left many holes.
constexpr std::uint64_t kReserveForHoles = 1_MiB;

}  // namespace

std::uint64_t WindowPlan::boot_bytes() const {
  std::uint64_t bytes = 0;
  for (FrameRange range : boot_regions) bytes += range.bytes();
  return bytes;
}

FrameSet WindowPlan::boot_frames() const {
  FrameSet frames;
  for (FrameRange range : boot_regions) frames.insert(range);
  return frames;
}

Result<WindowPlan> plan_window(const FrameSet& ram, std::uint64_t window_bytes) {
  if (window_bytes == 0 || !is_aligned(window_bytes, HADUMP_BLOCK_SIZE))
    return fail(ErrorCode::kBadData,
                fmt::format("a window of {} is not a multiple of {}", format_size(window_bytes),
                            format_size(HADUMP_BLOCK_SIZE)));
  WindowPlan plan;
  const FrameRange window = frames_of_bytes(0, window_bytes);
  if (!ram.contains(window))
    return fail(ErrorCode::kBadData,
                fmt::format("the guest does not have enough memory for a window of {}",
                            format_size(window_bytes)));
  plan.boot_regions.push_back(window);
  for (FrameRange range : ram.ranges()) {
    const Gfn begin = std::max(range.begin, window.end);
    const Gfn end{round_down(range.end.value, kBlockFrames)};
    if (begin < end) plan.held.insert({begin, end});
    if (std::max(begin, end) < range.end)
      plan.boot_regions.push_back({std::max(begin, end), range.end});
  }
  if (plan.held.empty())
    return fail(ErrorCode::kBadData,
                fmt::format("with a window of {}, no whole block of memory is left to hold",
                            format_size(window_bytes)));
  if (plan.boot_regions.size() > HADUMP_MAX_BOOT_REGIONS)
    return fail(ErrorCode::kUnsupported, "too many boot regions");
  return plan;
}

Gfn added_save_area_start(const FrameSet& ram) {
  const Gfn end = ram.ranges().back().end;
  return Gfn{std::max(round_up(end.value, kBlockFrames), (4_GiB) >> kFrameShift)};
}

SaveLayout lay_out_save_area(const SaveSizes& sizes) {
  SaveLayout layout;
  std::uint64_t at = kFrameSize;  // the header's page
  const auto place = [&](hadump_section_index section, std::uint64_t capacity) {
    layout.offset[section] = at;
    layout.capacity[section] = round_up(capacity, kFrameSize);
    at += layout.capacity[section];
  };
  place(HADUMP_SECTION_NODE, HADUMP_MAX_NODE_SIZE);
  place(HADUMP_SECTION_CPU, sizes.cpu);
  place(HADUMP_SECTION_HPTE, sizes.hpte);
  place(HADUMP_SECTION_ELFHDR, sizes.elf_header);
  place(HADUMP_SECTION_BLOCKS, sizes.blocks);
  at = round_up(at, HADUMP_SAVE_ALIGN);
  place(HADUMP_SECTION_LOW, sizes.low);
  layout.length = round_up(at, HADUMP_SAVE_ALIGN);
  return layout;
}

std::uint64_t save_area_reserve(const FrameSet& ram, const WindowPlan& plan, unsigned vcpus) {
  return lay_out_save_area({.cpu = vcpus * kBytesPerVcpu,
                            .hpte = kReserveForHoles,
                            .low = plan.boot_bytes(),
                            .elf_header = vcpus * kFrameSize + kReserveForHoles,
                            .blocks = block_table_bytes(ram)})
      .length;
}

std::uint64_t block_table_bytes(const FrameSet& ram) {
  return round_up(ram.ranges().back().end.value, kBlockFrames) / kBlockFrames;
}

}  // namespace hadump
