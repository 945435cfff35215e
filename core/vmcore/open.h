// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Opens a dump of any format that this library reads, by its first bytes: ELF core (also
/// /proc/vmcore), kdump-compressed, and the flattened form of either.
/// @return kOs, kNotFound; kUnsupported for another format; kBadData for a broken one.
Result<std::unique_ptr<VmcoreSource>> open_vmcore(const std::string& path);
/// The parts of a split dump, in any order; or one file.
Result<std::unique_ptr<VmcoreSource>> open_vmcore(const std::vector<std::string>& paths);
/// The same on files that are open already.
Result<std::unique_ptr<VmcoreSource>> open_vmcore(std::vector<std::unique_ptr<ByteFile>> files);

}  // namespace hadump
