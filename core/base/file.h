// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// open(2) with O_CLOEXEC. @return the errors of open(2), with the path in the text.
Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode = 0);

/// Reads a whole file, at most `limit` bytes: kBadData when it is longer, because every file that
/// is read whole here has a known largest sensible size.
Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t limit);
Result<std::string> read_text_file(const std::string& path, std::uint64_t limit);

/// Reads exactly out.size() bytes at `offset`, retrying short reads. kBadData at end of file.
Result<> read_exactly_at(int fd, std::span<std::byte> out, std::uint64_t offset,
                         const std::string& what);

/// Writes all of `data` at the file position, retrying short writes.
Result<> write_all(int fd, std::span<const std::byte> data, const std::string& what);
/// Writes all of `data` at `offset`, retrying short writes.
Result<> write_all_at(int fd, std::span<const std::byte> data, std::uint64_t offset,
                      const std::string& what);

/// Replaces `path` by a file with this content, or leaves the old one as it was: a temporary file
/// in the same directory, fsync, rename, fsync of the directory.
Result<> write_file_atomically(const std::string& path, std::string_view content, unsigned mode);

/// fsync of the directory that holds `path`: makes a rename or a new name durable.
Result<> sync_directory_of(const std::string& path);

}  // namespace hadump
