// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "userspace/cli/command_table.h"
#include "userspace/cli/vmcoreinfo_option.h"
#include "userspace/cli/waiting_vmcore.h"

namespace hadump {

/// The dump that the command `name` is to look at; null when it cannot be opened, and says why. Of
/// a dump that waits, what is released by now is lost (without_released()), and it says so.
/// @param vmcoreinfo  the value of --vmcoreinfo.
inline std::unique_ptr<VmcoreSource> open_for(const CommandCall& call, const char* name,
                                              const std::vector<std::string>& files,
                                              const std::string& vmcoreinfo = {}) {
  std::string warning;
  auto source = open_dump(files, vmcoreinfo).and_then([&](std::unique_ptr<VmcoreSource> opened) {
    return without_released(std::move(opened), files, warning);
  });
  if (!warning.empty()) complain(call, name, warning);
  if (source) return std::move(*source);
  complain(call, name, source.error().what());
  return nullptr;
}

}  // namespace hadump
