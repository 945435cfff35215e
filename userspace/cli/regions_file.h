// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "core/base/error.h"
#include "core/save/region_table.h"

namespace hadump {

/// Reads the module's list of regions. Source: docs/abi/sysfs.md.
/// @param kernel_dir  "/sys/kernel", or a test's directory.
/// @return kNotFound when no dump waits; kOs; kBadData for a list that is none.
Result<RegionTable> read_regions(const std::string& kernel_dir);

/// A read that was interrupted by too many other readers (EAGAIN: the module keeps a bounded number
/// of lists for those that read them piece by piece) begins again, after longer and longer pauses,
/// some seconds in all.
/// @return what `read` returned last.
Result<std::string> read_patiently(const std::function<Result<std::string>()>& read,
                                   const std::function<void(std::chrono::milliseconds)>& pause);

}  // namespace hadump
