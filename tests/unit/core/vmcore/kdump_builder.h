// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/vmcore/kdump_source.h"

namespace hadump {

// How a page is stored (makedumpfile's diskdump_mod.h); not from our own table, which is tested by
// this.
inline constexpr std::uint32_t kKdumpZlib = 0x1;
inline constexpr std::uint32_t kKdumpLzo = 0x2;
inline constexpr std::uint32_t kKdumpSnappy = 0x4;
inline constexpr std::uint32_t kKdumpZstd = 0x20;

/// Builds a kdump-compressed file in memory in which every field can be wrong: change `header` and
/// `sub_header` before build().
class KdumpBuilder {
 public:
  explicit KdumpBuilder(std::uint64_t max_mapnr);

  /// One frame filled with `fill`, stored with this codec (0: as it is).
  KdumpBuilder& add_page(std::uint64_t pfn, unsigned fill, std::uint32_t codec = 0);
  /// A frame that the machine had but the dump leaves out.
  KdumpBuilder& add_left_out(std::uint64_t pfn);
  /// A frame whose descriptor is like this.
  KdumpBuilder& add_descriptor(std::uint64_t pfn, KdumpPageDesc desc);
  KdumpBuilder& set_notes(std::vector<std::byte> notes);

  std::vector<std::byte> build() const;

  KdumpHeader header;
  KdumpSubHeader sub_header;

 private:
  struct Page {
    std::vector<std::byte> data;
    std::uint32_t codec = 0;
    std::optional<KdumpPageDesc> desc;
    bool left_out = false;
  };
  std::map<std::uint64_t, Page> pages_;
  std::vector<std::byte> notes_;
};

/// The flattened form of a file: records of at most `record_bytes`, last one first.
std::vector<std::byte> flatten(const std::vector<std::byte>& file, std::size_t record_bytes);

}  // namespace hadump
