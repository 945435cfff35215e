// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/units.h"
#include "core/save/region_releaser.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct ReleaseOptions {
  bool help = false;
  bool dry_run = false;
  FrameRange range;
};

/// START and LENGTH in hexadecimal bytes, page-aligned, LENGTH not 0.
Result<ReleaseOptions> parse_release(const std::vector<std::string>& args);
std::string help_release(const std::string& program);
int release_command(const CommandCall& call);

/// Releases one range, saved or not: this is the admin's own decision.
/// @return exit status: 0; 1 when the module refuses, with its reason on io.err.
int run_release(const ReleaseOptions& options, RegionReleaser& releaser, Streams io);

}  // namespace hadump
