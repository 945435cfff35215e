// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"
#include "core/base/held_file.h"

namespace hadump {

/// Trusted is what only root and this process's user can change: owned by one of them, and writable
/// by nobody else. Group root may write where no access control list gives the group's bits another
/// meaning, and so may others to a sticky directory, where they cannot replace what is ours.

/// Walks to `path` from the root. When each directory and each link on the way is trusted, nobody
/// else can make the path lead elsewhere, neither now nor later.
/// @param path  absolute; its end need not exist.
/// @return the last directory on the way that exists, without links. kBadData names the first that
///         is not trusted. kOs what cannot be looked at.
Result<std::string> walk_trusted(const std::string& path);

/// Walks to the directory of `path` and holds what it has walked to. @return as walk_trusted();
/// kNotFound when there is no such directory.
Result<HeldFile> hold_trusted(const std::string& path);

/// Makes a directory in which others can write nothing, with those on the way to it, mode 0700. One
/// that exists keeps its mode. Nothing is made where others can change the way.
/// @param path  absolute.
/// @return kBadData when others can write to it, sticky or not, or change the way to it.
Result<> make_own_directory(const std::string& path);
/// The same for the directory of `path`, which is held.
Result<HeldFile> hold_in_own_directory(const std::string& path);

/// Whether the open file is a regular, trusted one of a single name.
/// @param path  for the message. @return kBadData when it is not.
Result<> check_trusted_file(int fd, const std::string& path);

/// Whether nobody else can exchange or change the program: the way to it is trusted, links at its
/// end included, and so is the file, which may have several names. That stays so, so it can be run
/// by its path. @return as walk_trusted().
Result<> check_trusted_program(const std::string& path);

/// Reads a whole file that is trusted. @return as check_trusted_file() and read_text_file() do.
Result<std::string> read_trusted_text_file(const HeldFile& file, std::uint64_t limit);
/// The same, where the way to it must be trusted, too.
Result<std::string> read_trusted_text_file(const std::string& path, std::uint64_t limit);

}  // namespace hadump
