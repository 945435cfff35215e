// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/disk_reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/trusted_path.h"
#include "core/base/units.h"

namespace hadump {
namespace {

// A file system needs some for itself: the new file's inode, its directory.
constexpr std::uint64_t kOverhead = 64_KiB;

std::uint64_t size_of(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

Result<UniqueFd> open_reserve(const std::string& path, int flags) {
  return hold_trusted(path).and_then(
      [flags](const HeldFile& file) { return file.open(flags, 0600); });
}

}  // namespace

void DiskReserve::fill() {
  const std::lock_guard lock(mutex_);
  auto file = open_reserve(path_, O_RDWR | O_CREAT);
  if (!file || size_of(file->get()) >= bytes_) return;
  // Blocks, not a hole. A part of it that fits stays.
  if (posix_fallocate(file->get(), 0, static_cast<off_t>(bytes_)) == 0) return;
  struct stat info {};
  constexpr std::uint64_t kBlockUnit = 512;  // of st_blocks
  if (fstat(file->get(), &info) != 0) return;
  const std::uint64_t there = static_cast<std::uint64_t>(info.st_blocks) * kBlockUnit;
  if (there < static_cast<std::uint64_t>(info.st_size))
    static_cast<void>(ftruncate(file->get(), static_cast<off_t>(there)));  // stays a hole at worst
}

bool DiskReserve::give(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  auto file = open_reserve(path_, O_RDWR);
  if (!file) return false;
  const std::uint64_t size = size_of(file->get());
  const std::uint64_t wanted = round_up(bytes, kFrameSize) + kOverhead;
  return size >= wanted && ftruncate(file->get(), static_cast<off_t>(size - wanted)) == 0;
}

}  // namespace hadump
