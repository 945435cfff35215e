// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/program_options.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core/vmcore/source.h"

namespace hadump {

/// --vmcoreinfo FILE, and its value: empty without it.
void describe_vmcoreinfo(boost::program_options::options_description& options);
std::string vmcoreinfo_option(const boost::program_options::variables_map& values);

/// A dump, or the parts of one, with the VMCOREINFO of that file (as the kernel or makedumpfile -g
/// writes it); else with its own; else with what is found in its memory.
Result<std::unique_ptr<VmcoreSource>> open_dump(const std::vector<std::string>& paths,
                                                const std::string& vmcoreinfo_path);

}  // namespace hadump
