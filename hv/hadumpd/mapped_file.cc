// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "core/base/file.h"

namespace hadump {

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty())
    static_cast<void>(munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()));
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  auto file = open_file(path, O_RDONLY);
  if (!file) return fail(std::move(file));
  struct stat info {};
  if (fstat(file->get(), &info) != 0) return fail_os(errno, "looking at " + path);
  if (info.st_size <= 0) return fail(ErrorCode::kBadData, path + " is empty");
  const auto bytes = static_cast<std::size_t>(info.st_size);
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file->get(), 0);
  if (data == MAP_FAILED) return fail_os(errno, "mapping " + path);
  MappedFile mapped;
  mapped.bytes_ = {static_cast<const std::byte*>(data), bytes};
  return mapped;
}

}  // namespace hadump
