// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/units.h"

namespace hadump::golden {

/// A kdump-compressed file as it lies on the disk, whoever wrote it: which pages it says it has,
/// and their bytes as they are stored. Not thread-safe.
class KdumpPages {
 public:
  /// Throws std::runtime_error for what is no such file.
  explicit KdumpPages(const std::string& path);
  ~KdumpPages();
  KdumpPages(const KdumpPages&) = delete;
  KdumpPages& operator=(const KdumpPages&) = delete;

  /// No page is at or after this frame.
  std::uint64_t end() const { return ranks_.size() * 64; }
  bool has(std::uint64_t frame) const {
    return frame < end() && (word(frame / 64) >> frame % 64 & 1) != 0;
  }
  std::uint64_t pages() const { return pages_; }

  struct Stored {
    std::uint32_t flags = 0;  ///< The codec.
    std::span<const std::byte> bytes;
    bool operator==(const Stored& other) const;
  };
  /// @pre has(frame). Throws when the file ends before the page does.
  Stored stored(std::uint64_t frame) const;

 private:
  std::uint64_t word(std::uint64_t index) const;

  std::string path_;
  std::span<const std::byte> file_;
  std::uint64_t bitmap_at_ = 0, descriptors_at_ = 0, pages_ = 0;
  std::vector<std::uint64_t> ranks_;  // pages before each 64 frames
};

}  // namespace hadump::golden
