// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/vmcore/source.h"
#include "userspace/cli/command_table.h"

namespace hadump {

/// The dump that the command `name` is to look at; null when it cannot be opened, and says why.
inline std::unique_ptr<VmcoreSource> open_for(const CommandCall& call, const char* name,
                                              const std::vector<std::string>& files) {
  auto source = open_vmcore(files);
  if (source) return std::move(*source);
  complain(call, name, source.error().what());
  return nullptr;
}

}  // namespace hadump
