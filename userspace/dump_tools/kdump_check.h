// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// What a dump's tables say that cannot be.
struct TableFindings {
  std::uint64_t problems = 0;
  std::vector<std::string> texts;  ///< Of the first problems.
};

using DumpFiles = std::vector<std::unique_ptr<ByteFile>>;

/// The files of one dump as bytes, the flattened form put together.
Result<DumpFiles> open_dump_files(const std::vector<std::string>& paths);

/// Checks a kdump-compressed dump's tables against each other: pages are dumped only where there is
/// memory (the second bitmap lies inside the first), descriptors point at data inside the file that
/// no other page has (pages of zeros may share theirs), and the parts of a split dump have the same
/// bitmaps. Nothing to find in a dump of another format.
///
/// @param source     the same dump, opened: a page that shares its data is looked at.
/// @param cancelled  asked often; true ends it with kCancelled.
/// @return kOs, kBadData when a table cannot be read.
Result<TableFindings> check_kdump_tables(const DumpFiles& files, const VmcoreSource& source,
                                         const std::function<bool()>& cancelled);

}  // namespace hadump
