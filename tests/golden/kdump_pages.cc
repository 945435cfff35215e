// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/golden/kdump_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "core/vmcore/kdump_layout.h"

namespace hadump::golden {
namespace {

std::span<const std::byte> map_whole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0)
    throw std::runtime_error(path + ": " + std::strerror(errno));
  const auto size = static_cast<std::size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (data == MAP_FAILED) throw std::runtime_error(path + ": cannot be mapped");
  return {static_cast<const std::byte*>(data), size};
}

}  // namespace

KdumpPages::KdumpPages(const std::string& path) : path_(path), file_(map_whole(path)) {
  KdumpHeader header;
  KdumpSubHeader sub_header;
  const std::string signature(header.signature.data(), header.signature.size());
  if (file_.size() < kFrameSize + sizeof(sub_header))
    throw std::runtime_error(path + ": too short for a kdump file");
  std::memcpy(&header, file_.data(), sizeof(header));
  std::memcpy(&sub_header, file_.data() + kFrameSize, sizeof(sub_header));
  if (std::string(header.signature.data(), header.signature.size()) != signature ||
      header.block_size != static_cast<std::int32_t>(kFrameSize) || header.version != 6)
    throw std::runtime_error(path + ": no kdump file of version 6");
  const std::uint64_t bitmap_bytes = std::uint64_t{header.bitmap_blocks} * kFrameSize / 2;
  bitmap_at_ = (1 + static_cast<std::uint64_t>(header.sub_header_blocks)) * kFrameSize +
               bitmap_bytes;  // the second one: dumped frames
  descriptors_at_ = bitmap_at_ + bitmap_bytes;
  ranks_.resize((sub_header.max_mapnr_64 + 63) / 64);
  if (descriptors_at_ > file_.size() || ranks_.size() * 8 > bitmap_bytes)
    throw std::runtime_error(path + ": the bitmaps do not fit");
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    ranks_[i] = pages_;
    pages_ += static_cast<std::uint64_t>(std::popcount(word(i)));
  }
}

KdumpPages::~KdumpPages() {
  ::munmap(const_cast<std::byte*>(file_.data()), file_.size());
}

std::uint64_t KdumpPages::word(std::uint64_t index) const {
  std::uint64_t value = 0;
  std::memcpy(&value, file_.data() + bitmap_at_ + index * sizeof(value), sizeof(value));
  return value;
}

bool KdumpPages::Stored::operator==(const Stored& other) const {
  return flags == other.flags && std::ranges::equal(bytes, other.bytes);
}

KdumpPages::Stored KdumpPages::stored(std::uint64_t frame) const {
  const std::uint64_t before = (std::uint64_t{1} << frame % 64) - 1;
  const std::uint64_t rank =
      ranks_[frame / 64] + static_cast<std::uint64_t>(std::popcount(word(frame / 64) & before));
  KdumpPageDesc page;
  const std::uint64_t at = descriptors_at_ + rank * sizeof(page);
  if (at + sizeof(page) > file_.size()) throw std::runtime_error(path_ + ": no such descriptor");
  std::memcpy(&page, file_.data() + at, sizeof(page));
  if (page.offset == 0 || page.offset > file_.size() || page.size > file_.size() - page.offset)
    throw std::runtime_error(path_ + ": a page is not in the file");
  return {page.flags, file_.subspan(page.offset, page.size)};
}

}  // namespace hadump::golden
