// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"

namespace hadump {

using DumpId = std::array<std::uint8_t, 16>;
/// 32 lower-case hex digits.
std::string to_hex(const DumpId& id);

enum class SaveMode : std::uint8_t { kAdded, kRegistered };
std::string_view to_string(SaveMode mode);
/// kBadData unless "added" or "registered".
Result<SaveMode> parse_save_mode(std::string_view text);

/// Bytes of guest-physical memory that need not be whole frames.
struct PhysRange {
  GuestPhys address;
  std::uint64_t bytes = 0;
  bool operator==(const PhysRange&) const = default;
};

/// A boot region and where its old content is.
struct BootRegion {
  FrameRange range;
  GuestPhys copy;
  bool operator==(const BootRegion&) const = default;
};

/// What docs/spec/dump-node.md describes.
struct DumpNode {
  DumpId dump_id{};
  SaveMode mode = SaveMode::kAdded;
  std::vector<BootRegion> boot_regions;
  FrameRange save_area;
  FrameSet held;
  FrameSet holes;
  FrameSet released;
  PhysRange block_table;
  PhysRange elf_header;
  PhysRange cpu_state;
  PhysRange hpte;
  std::uint64_t crash_time = 0;
  std::uint32_t boots = 1;
  bool operator==(const DumpNode&) const = default;
};

/// The flattened tree. kUnsupported when a list is longer than the format allows.
Result<std::vector<std::byte>> encode_dump_node(const DumpNode& node);

/// Reads a tree back and checks every rule of the format. kBadData names the first broken one;
/// kUnsupported for a version that this build does not know.
Result<DumpNode> decode_dump_node(std::span<const std::byte> tree);

}  // namespace hadump
