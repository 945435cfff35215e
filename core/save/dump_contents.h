// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/frame_set.h"
#include "core/vmcore/frame_uses.h"
#include "core/vmcore/page_filter.h"
#include "core/vmcore/source.h"

namespace hadump {

/// The page classifier as the writer's filter, and the frames that it reads.
struct OpenedFilter {
  std::unique_ptr<PageFilter> filter;
  /// struct page arrays, mem_section, page tables, and which frames are told apart by them.
  FrameUses needed_later;
  /// Frames so far that were kept because nothing says what they are for. Some may be counted
  /// more than once. Empty without a filter.
  std::function<std::uint64_t()> kept_unknown;
};

/// @param source  borrowed by the filter.
/// @param dump_level  what every level that the dump may get has in common: see
///                    PageClassifier::open().
/// @return why pages cannot be told apart (kNotFound, kUnsupported, kBadData): every page is kept
///         then.
Result<OpenedFilter> open_filter(const VmcoreSource& source, unsigned dump_level = 0);

/// Calls `take` with the runs of all `frames`, ascending. In steps of a section's size: what is
/// known at a time stays small, however large the machine is.
/// @param filter  null, or one that fails: all is kept.
void for_each_run(const FrameSet& frames, const PageFilter* filter,
                  const std::function<void(const PageRun&)>& take);

/// The crashed kernel's log as text. @return kNotFound, kBadData.
Result<std::string> crashed_kernel_log(const VmcoreSource& source);

}  // namespace hadump
