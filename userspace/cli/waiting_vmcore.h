// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/vmcore/source.h"
#include "userspace/cli/command_table.h"

namespace hadump {

/// Where a dump of hadump shows; a test's files.
struct WaitingPlaces {
  std::string vmcore = "/proc/vmcore";
  std::string kernel_dir = "/sys/kernel";
};

/// The first of the files that is /proc/vmcore itself while a dump of hadump waits there: by
/// whatever name, through a link, another mount of proc, or as standard input ("-"). What was
/// released of it, or is released meanwhile, reads as zeros, so whoever copies it must ask the
/// module: only `release-region save` does. A pipe is not seen through.
std::optional<std::string> find_waiting_vmcore(const std::vector<std::string>& files,
                                               const WaitingPlaces& places = {});

/// For those who copy. @return whether one of the files is such; then it was said what to do
/// instead.
bool refuses_waiting(const CommandCall& call, const char* name,
                     const std::vector<std::string>& files);

/// For those who only look: with what is released by now as lost memory instead of zeros, and the
/// dump as incomplete then. Any other file's source stays as it is.
/// @param warning  what to say of it; empty when nothing was released.
/// @return kNotFound, kOs, kBadData when nobody can tell what is released.
Result<std::unique_ptr<VmcoreSource>> without_released(std::unique_ptr<VmcoreSource> source,
                                                       const std::vector<std::string>& files,
                                                       std::string& warning,
                                                       const WaitingPlaces& places = {});

}  // namespace hadump
