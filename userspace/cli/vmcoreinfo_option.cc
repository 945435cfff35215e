// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/vmcoreinfo_option.h"

#include "core/base/file.h"
#include "core/vmcore/noted_vmcore.h"
#include "core/vmcore/open.h"
#include "core/vmcore/vmcoreinfo.h"
#include "userspace/cli/standard_input.h"

namespace hadump {

namespace po = boost::program_options;

void describe_vmcoreinfo(po::options_description& options) {
  options.add_options()("vmcoreinfo", po::value<std::string>()->value_name("FILE"),
                        "a file with the VMCOREINFO of the crashed kernel, for a dump without it");
}

std::string vmcoreinfo_option(const po::variables_map& values) {
  return values.count("vmcoreinfo") > 0 ? values["vmcoreinfo"].as<std::string>() : "";
}

Result<std::unique_ptr<VmcoreSource>> open_dump(const std::vector<std::string>& paths,
                                                const std::string& vmcoreinfo_path) {
  if (vmcoreinfo_path.empty()) {
    auto source = open_inputs(paths);
    if (!source) return source;
    return with_found_vmcoreinfo(std::move(*source));
  }
  auto text = read_file(vmcoreinfo_path, kMaxVmcoreinfoBytes);
  if (!text) return fail(std::move(text), "--vmcoreinfo");
  auto source = open_inputs(paths);
  if (!source) return source;
  auto noted = with_vmcoreinfo(std::move(*source),
                               {reinterpret_cast<const char*>(text->data()), text->size()});
  if (!noted) return fail(std::move(noted), vmcoreinfo_path);
  return noted;
}

}  // namespace hadump
