// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace hadump {
namespace {

constexpr std::size_t kReadStep = 64 << 10;
std::string directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return fail_os(errno, "opening " + path);
  return fd;
}

Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t limit) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd) return fail(std::move(fd));
  std::vector<std::byte> content;
  // No size is asked for: files of /proc and /sys say 0.
  for (;;) {
    const std::size_t old_size = content.size();
    content.resize(old_size + kReadStep);
    const ssize_t got = ::read(fd->get(), content.data() + old_size, kReadStep);
    if (got < 0 && errno != EINTR) return fail_os(errno, "reading " + path);
    content.resize(old_size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return content;
    if (content.size() > limit)
      return fail(ErrorCode::kBadData, fmt::format("{} is larger than {} bytes", path, limit));
  }
}

Result<std::string> read_text_file(const std::string& path, std::uint64_t limit) {
  auto content = read_file(path, limit);
  if (!content) return fail(std::move(content));
  return std::string(reinterpret_cast<const char*>(content->data()), content->size());
}

Result<> read_exactly_at(int fd, std::span<std::byte> out, std::uint64_t offset,
                         const std::string& what) {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_os(errno, fmt::format("reading {} at {:#x}", what, offset));
    if (got == 0) return fail(ErrorCode::kBadData, fmt::format("{} ends at {:#x}", what, offset));
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<> write_all(int fd, std::span<const std::byte> data, const std::string& what) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_os(errno, "writing " + what);
    data = data.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Result<> write_all_at(int fd, std::span<const std::byte> data, std::uint64_t offset,
                      const std::string& what) {
  while (!data.empty()) {
    const ssize_t put = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_os(errno, fmt::format("writing {} at {:#x}", what, offset));
    data = data.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<> sync_directory_of(const std::string& path) {
  const std::string directory = directory_of(path);
  auto fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  if (!fd) return fail(std::move(fd));
  if (::fsync(fd->get()) != 0) return fail_os(errno, "syncing " + directory);
  return {};
}

}  // namespace hadump
