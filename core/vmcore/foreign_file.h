// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "core/vmcore/byte_file.h"

namespace hadump {

/// What a file is that people take for a dump, and how to get one from it: a gzip file, a libvirt
/// save, another hypervisor's state. Nothing for a file that is not known, or may be a dump.
std::optional<std::string> describe_foreign_file(const ByteFile& file);

}  // namespace hadump
