// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/open.h"

#include <utility>

#include "core/vmcore/elf_source.h"
#include "core/vmcore/flattened_file.h"
#include "core/vmcore/foreign_file.h"
#include "core/vmcore/kdump_source.h"

namespace hadump {

Result<std::unique_ptr<VmcoreSource>> open_vmcore(std::vector<std::unique_ptr<ByteFile>> files) {
  if (files.empty()) return fail(ErrorCode::kNotFound, "no file");
  for (auto& file : files) {
    if (!FlattenedFile::recognises(*file)) continue;
    auto flat = FlattenedFile::open(std::move(file));
    if (!flat) return fail(std::move(flat));
    file = std::move(*flat);
  }
  for (const auto& file : files)
    if (const auto foreign = describe_foreign_file(*file))
      return fail(ErrorCode::kUnsupported, file->name() + ": " + *foreign);
  if (KdumpVmcoreSource::recognises(*files.front())) {
    auto source = KdumpVmcoreSource::open(std::move(files));
    if (!source) return fail(std::move(source));
    return std::unique_ptr<VmcoreSource>(std::move(*source));
  }
  if (files.size() > 1)
    return fail(ErrorCode::kUnsupported,
                "only kdump-compressed dumps can be split over several files");
  auto source = ElfVmcoreSource::open(std::move(files.front()));
  if (!source) return fail(std::move(source));
  return std::unique_ptr<VmcoreSource>(std::move(*source));
}

Result<std::unique_ptr<VmcoreSource>> open_vmcore(const std::vector<std::string>& paths) {
  std::vector<std::unique_ptr<ByteFile>> files;
  for (const std::string& path : paths) {
    auto file = OpenedFile::open(path);
    if (!file) return fail(std::move(file));
    files.push_back(std::move(*file));
  }
  return open_vmcore(std::move(files));
}

Result<std::unique_ptr<VmcoreSource>> open_vmcore(const std::string& path) {
  return open_vmcore(std::vector<std::string>{path});
}

}  // namespace hadump
