// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/dump/elf_image.h"
#include "core/vmcore/source.h"

namespace hadump {

/// A dump as a directory of files: `vmcore` (an ELF core, whatever the dump's own format),
/// `dmesg.txt` where the kernel's log can be read, and `metadata.json`: of a capture the file
/// beside it that says that it is about this dump, else what `hadump info --json` says.
///
/// Threads: all functions may be called from several threads at once.
class DumpTree {
 public:
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
    /// Copies what is at `offset`; less at the end. Errors: what is lost in the dump.
    std::function<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> out)> read;
  };

  /// @param files  of one dump: one, or the parts of a split one.
  /// @param vmcoreinfo  empty, or a file with the kernel's.
  /// @return the errors of open_dump() and ElfImage::make().
  static Result<std::unique_ptr<DumpTree>> open(const std::vector<std::string>& files,
                                                const std::string& vmcoreinfo);
  /// @param file  the dump's, if it is there already: metadata are looked for beside it.
  static Result<std::unique_ptr<DumpTree>> show(std::unique_ptr<VmcoreSource> source,
                                                const std::string& file);

  std::span<const File> files() const { return files_; }
  /// Null when there is none of that name.
  const File* find(std::string_view name) const;
  /// When the dump was made, in seconds since 1970; 0 when nobody knows.
  std::int64_t time_s() const { return time_s_; }

 private:
  explicit DumpTree(std::unique_ptr<VmcoreSource> source) : source_(std::move(source)) {}
  void add_text(const std::string& name, std::string text);

  std::unique_ptr<VmcoreSource> source_;
  std::optional<ElfImage> image_;
  std::vector<File> files_;
  std::int64_t time_s_ = 0;
};

}  // namespace hadump
