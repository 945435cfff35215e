// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "core/save/region_releaser.h"

namespace hadump {

/// The module's sysfs files. Source: docs/abi/sysfs.md.
class SysfsReleaser : public RegionReleaser {
 public:
  /// @param kernel_dir  "/sys/kernel", or a test's directory.
  explicit SysfsReleaser(std::string kernel_dir) : kernel_dir_(std::move(kernel_dir)) {}

  Result<RegionTable> regions() override;
  Result<> release(FrameRange range) override;
  Result<> report_progress(std::string_view line) override;
  Result<UniqueFd> lock() override;

 private:
  std::string kernel_dir_;
};

/// The sentence for an errno of `release_region`, and its code.
Error release_error(int errno_value, FrameRange range);

}  // namespace hadump
