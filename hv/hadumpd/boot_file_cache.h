// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "hv/hadumpd/mapped_file.h"
#include "hv/rescue/crash_run.h"

namespace hadump {

/// What a domain boots from, from files.
///
/// A compressed kernel is unpacked once and kept (tens of megabytes, seconds of work), named after
/// the file it came from: device, inode, size and time of change. ACPI tables come from `tables`
/// and are kept below `run_directory`, which a host's restart empties.
class BootFileCache : public BootFiles {
 public:
  struct Paths {
    std::string kernel;
    std::string ramdisk;  ///< may be empty
    std::string cache_directory;
    std::string run_directory;
  };
  /// @param table_key  what shapes the ACPI tables.
  BootFileCache(Paths paths, std::string table_key, std::function<Result<AcpiTables>()> tables)
      : paths_(std::move(paths)), table_key_(std::move(table_key)), tables_(std::move(tables)) {}

  /// Whether nothing has to be made that takes long. False, too, when something cannot be read.
  bool ready() const;

  Result<std::span<const std::byte>> kernel() override;
  Result<std::span<const std::byte>> ramdisk() override;
  Result<AcpiTables> acpi_tables() override;

 private:
  std::string table_path() const;
  Result<AcpiTables> kept_tables() const;
  Result<std::string> cached_path() const;
  Result<std::string> unpacked_kernel() const;
  Paths paths_;
  std::string table_key_;
  std::function<Result<AcpiTables>()> tables_;
  MappedFile kernel_;
  MappedFile ramdisk_;
};

/// Removes every unpacked kernel that none of the files `kernels` would be found in, as they are
/// now. What is mapped stays readable.
/// @return the names of those that were removed. A file that cannot be is left for the next time.
std::vector<std::string> prune_kernel_cache(const std::string& cache_directory,
                                            std::span<const std::string> kernels);

}  // namespace hadump
