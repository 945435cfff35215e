// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/byte_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/file.h"
#include "core/base/units.h"

namespace hadump {
namespace {

tl::unexpected<Error> past_end(const std::string& name, std::uint64_t offset, std::size_t bytes) {
  return fail(ErrorCode::kBadData,
              fmt::format("{}: {} bytes at {:#x} are past the end", name, bytes, offset));
}

const char* kind_of_other_file(mode_t mode) {
  if (S_ISDIR(mode)) return ": a directory; name the dump in it";
  if (S_ISFIFO(mode) || S_ISSOCK(mode))
    return ": a pipe; a dump is not read from its beginning to its end: write it to a file first, "
           "or "
           "give it as standard input, -";
  return ": not a file";
}

/// Takes all page faults of a mapping at once, because one for each page costs more than the use of
/// the pages, and what cannot be read as an error instead of a SIGBUS.
Result<> populate(void* base, std::size_t bytes) {
#ifndef MADV_POPULATE_READ
  constexpr int MADV_POPULATE_READ = 22;  // Linux 5.14; Debian 12's C library has it
#endif
  if (::madvise(base, bytes, MADV_POPULATE_READ) == 0) return {};
  // EINVAL: an older kernel, or /proc/vmcore, whose mappings have no faults to take.
  return errno == EINVAL ? Result<>() : fail_os(errno, "reading ahead");
}

}  // namespace

Result<std::unique_ptr<OpenedFile>> OpenedFile::open(const std::string& path) {
  // Before it is opened: a pipe without a writer would block.
  struct stat kind {};
  if (::stat(path.c_str(), &kind) == 0 && !S_ISREG(kind.st_mode) && !S_ISBLK(kind.st_mode))
    return fail(ErrorCode::kUnsupported, path + kind_of_other_file(kind.st_mode));
  auto fd = open_file(path, O_RDONLY);
  if (!fd) return fail(std::move(fd));
  return take(std::move(*fd), path);
}

Result<std::unique_ptr<OpenedFile>> OpenedFile::take(UniqueFd fd, const std::string& name) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_os(errno, "looking at " + name);
  auto size = static_cast<std::uint64_t>(info.st_size);
  if (S_ISBLK(info.st_mode)) {
    const off_t end = ::lseek(fd.get(), 0, SEEK_END);
    if (end < 0) return fail_os(errno, "finding the size of " + name);
    size = static_cast<std::uint64_t>(end);
  }
  struct statfs where {};
  const bool is_in_proc = ::fstatfs(fd.get(), &where) == 0 && where.f_type == PROC_SUPER_MAGIC;
  return std::unique_ptr<OpenedFile>(new OpenedFile(std::move(fd), size, is_in_proc, name));
}

Result<> OpenedFile::read_at(std::span<std::byte> out, std::uint64_t offset) const {
  if (!fits(offset, out.size(), size_)) return past_end(name_, offset, out.size());
  return read_exactly_at(fd_.get(), out, offset, name_);
}

Result<MemoryMapping> OpenedFile::map(std::uint64_t offset, std::size_t bytes) const {
  const std::uint64_t begin = round_down(offset, kFrameSize);
  const std::size_t skip = static_cast<std::size_t>(offset - begin);
  const std::size_t mapped = skip + bytes;
  // MAP_SHARED: a private mapping of /proc/vmcore is allowed too, but a shared one never copies.
  void* base = ::mmap(nullptr, mapped, PROT_READ, MAP_SHARED, fd_.get(), static_cast<off_t>(begin));
  if (base == MAP_FAILED) return fail_os(errno, "mapping " + name_);
  MemoryMapping mapping(base, mapped, skip);
  if (auto populated = populate(base, mapped); !populated)
    return fail(std::move(populated), "mapping " + name_);
  return mapping;
}

std::uint64_t OpenedFile::next_data(std::uint64_t offset) const {
  // Files in /proc take any place for data. Nobody uses the descriptor's own position.
  if (is_in_proc_ || offset >= size_) return offset;
  const off_t next = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (next >= 0) return static_cast<std::uint64_t>(next);
  // EINVAL: a file system or device that does not tell.
  return errno == ENXIO ? size_ : offset;
}

Result<> MemoryFile::read_at(std::span<std::byte> out, std::uint64_t offset) const {
  if (!fits(offset, out.size(), size())) return past_end(name_, offset, out.size());
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Result<MemoryMapping> MemoryFile::map(std::uint64_t, std::size_t) const {
  return fail(ErrorCode::kUnsupported, "memory cannot be mapped");
}

}  // namespace hadump
