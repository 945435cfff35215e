// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/page_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/file.h"
#include "core/base/trusted_path.h"

namespace hadump {
namespace {

constexpr std::array<std::byte, kFrameSize> kZeros{};

tl::unexpected<Error> image_is_read_only() {
  return fail(ErrorCode::kUnsupported, "the image of a domain's memory is only read");
}

bool is_zero_page(std::span<const std::byte> page) {
  return std::memcmp(page.data(), kZeros.data(), kFrameSize) == 0;
}

}  // namespace

Result<std::unique_ptr<PageImage>> PageImage::create(const HeldFile& file, Gfn end) {
  auto fd = file.open(O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!fd) return fail(std::move(fd));
  if (::ftruncate(fd->get(), static_cast<off_t>(address_of(end).value)) != 0)
    return fail_os(errno, "making room in " + file.path());
  return std::unique_ptr<PageImage>(new PageImage(std::move(*fd), file.path()));
}

Result<std::unique_ptr<PageImage>> PageImage::open(const HeldFile& file) {
  auto fd = file.open(O_RDONLY);
  if (!fd) return fail(std::move(fd));
  if (auto trusted = check_trusted_file(fd->get(), file.path()); !trusted)
    return fail(std::move(trusted));
  return std::unique_ptr<PageImage>(new PageImage(std::move(*fd), file.path()));
}

Result<> PageImage::write(Gfn first, std::span<const std::byte> pages, bool is_new) {
  const std::size_t frames = pages.size() / kFrameSize;
  const auto is_zero = [&](std::size_t i) {
    return is_zero_page(pages.subspan(i * kFrameSize, kFrameSize));
  };
  for (std::size_t i = 0; i < frames;) {
    const bool zero = is_zero(i);
    std::size_t end = i + 1;
    while (end < frames && is_zero(end) == zero) ++end;
    const FrameRange run{Gfn{first.value + i}, Gfn{first.value + end}};
    if (!zero) {
      const auto bytes = pages.subspan(i * kFrameSize, run.bytes());
      if (auto done = write_all_at(fd_.get(), bytes, address_of(run.begin).value, path_); !done)
        return done;
    } else if (!is_new) {
      if (auto done = clear(run); !done) return done;
    }
    i = end;
  }
  return {};
}

// Not every file system can make holes.
Result<> PageImage::clear(FrameRange range) {
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(address_of(range.begin).value),
                  static_cast<off_t>(range.bytes())) == 0)
    return {};
  if (errno != EOPNOTSUPP) return fail_os(errno, "clearing pages in " + path_);
  for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
    if (auto done = write_all_at(fd_.get(), kZeros, address_of(gfn).value, path_); !done)
      return done;
  return {};
}

// A copy: what cannot be read of a mapped file would be a signal.
Result<FrameMapping> PageImage::map(FrameRange range, Access access) const {
  if (access != Access::kRead) return image_is_read_only();
  void* memory = ::mmap(nullptr, range.bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail_os(errno, "taking memory for " + path_);
  const std::span bytes(static_cast<std::byte*>(memory), range.bytes());
  std::vector<bool> present(range.frames());
  const FrameSet there = present_.intersection(range);
  Result<> done;
  for (FrameRange piece : there.ranges()) {
    const std::uint64_t offset = piece.begin.value - range.begin.value;
    const auto part = bytes.subspan(offset << kFrameShift, piece.bytes());
    done = read_exactly_at(fd_.get(), part, address_of(piece.begin).value, path_);
    if (!done) break;
    std::fill_n(present.begin() + static_cast<std::ptrdiff_t>(offset), piece.frames(), true);
  }
  FrameMapping mapping(range.begin, bytes, std::move(present), [](std::span<std::byte> mapped) {
    // A failure leaves it mapped; nothing to do.
    static_cast<void>(::munmap(mapped.data(), mapped.size()));
  });
  if (!done) return fail(std::move(done));
  return mapping;
}

Result<std::vector<FrameKind>> PageImage::kinds(FrameRange range) const {
  std::vector<FrameKind> kinds(range.frames(), FrameKind::kAbsent);
  const FrameSet there = present_.intersection(range);
  for (FrameRange piece : there.ranges())
    std::fill_n(kinds.begin() + static_cast<std::ptrdiff_t>(piece.begin.value - range.begin.value),
                piece.frames(), FrameKind::kRam);
  return kinds;
}

Result<> PageImage::set_limit_kib(std::uint64_t) {
  return image_is_read_only();
}
Result<std::uint64_t> PageImage::host_free_bytes() const {
  return image_is_read_only();
}
Result<> PageImage::add_frames(const FrameSet&) {
  return image_is_read_only();
}
Result<> PageImage::take_away(const FrameSet&) {
  return image_is_read_only();
}
Result<> PageImage::move_frame(Gfn, Gfn) {
  return image_is_read_only();
}

HeldFile image_beside(const HeldFile& dump) {
  return dump.beside(dump.name() + "-image");
}

Result<std::uint64_t> free_bytes_beside(const HeldFile& file) {
  const std::string directory = std::filesystem::path(file.path()).parent_path();
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) return fail_os(errno, "looking at " + directory);
  return std::uint64_t{info.f_bavail} * info.f_frsize;
}

}  // namespace hadump
