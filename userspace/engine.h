#pragma once

#include <memory>
#include <string>

#include "core/base/frame_set.h"
#include "core/vmcore/page_filter.h"
#include "core/vmcore/source.h"

namespace hadump {

/// The page classifier as the writer's filter, and the frames that it reads.
struct OpenedFilter {
  std::unique_ptr<PageFilter> filter;
  /// struct page arrays, mem_section, page tables: read until the last portion is written.
  FrameSet needed_later;
};

/// @param source  borrowed by the filter.
/// @return why pages cannot be told apart (kNotFound, kUnsupported, kBadData): every page is kept
///         then.
Result<OpenedFilter> open_filter(const VmcoreSource& source);

/// The crashed kernel's log as text. @return kNotFound, kBadData.
Result<std::string> crashed_kernel_log(const VmcoreSource& source);

}  // namespace hadump
