// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// The file of that name; "-" is standard input. A dump is not read from its beginning to its end,
/// so what comes through a pipe is first copied to a file without a name in $TMPDIR, or /var/tmp:
/// once, however often it is opened.
/// @return as OpenedFile::open(); kUnsupported for a terminal; kNoSpace when there is no room for
///         the copy.
Result<std::unique_ptr<OpenedFile>> open_input(const std::string& path);

/// open_vmcore() of such files.
Result<std::unique_ptr<VmcoreSource>> open_inputs(const std::vector<std::string>& paths);

}  // namespace hadump
