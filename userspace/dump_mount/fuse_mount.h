// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "core/base/error.h"
#include "userspace/dump_mount/dump_tree.h"

namespace hadump {

/// Shows a dump in a directory by FUSE until it is unmounted or a signal comes. Files are
/// read-only, of mode 0400, and this process's user's.
/// @param foreground  false: this process ends with 0 when the directory is mounted, and a child of
///                    it goes on. Nothing may have threads then.
/// @return kUnsupported where FUSE cannot mount: no module, no right, no such directory.
Result<> mount_dump(const DumpTree& tree, const std::string& directory, bool foreground);

}  // namespace hadump
