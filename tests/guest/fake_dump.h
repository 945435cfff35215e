// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace hadump {

/// Bytes [begin, end) of guest-physical space.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t bytes() const { return end - begin; }
};

/// A waiting dump as docs/spec/ describes it, but made up: what the module is tried with where no
/// agent is. Every list may be wrong on purpose; nothing is checked here.
struct FakeDump {
  std::string mode = "added";
  ByteRange save_area;
  std::vector<ByteRange> boot_regions;
  std::vector<ByteRange> held;
  std::vector<ByteRange> holes;
  std::vector<ByteRange> released;
  std::uint32_t boots = 1;
  bool complete = true;  ///< The save header's last field says so.
};

/// Where build_save_area() puts things, as offsets from the save area's start.
struct FakeLayout {
  std::uint64_t node = 0x1000;
  std::uint64_t cpu = 0x11000;
  std::uint64_t hpte = 0x12000;
  std::uint64_t blocks = 0x13000;
  std::uint64_t elfcorehdr = 0x20000;
  std::uint64_t low = 0x200000;
};

/// The flattened tree, with about 4 KiB of room left for set_property().
std::vector<std::byte> build_tree(const FakeDump& dump);

/// Changes one property of the dump node; an empty optional cannot be told from an empty value, so
/// drop_property() removes. @return false: libfdt would not.
bool set_property(std::vector<std::byte>& tree, const std::string& name,
                  const std::vector<std::byte>& value);
bool drop_property(std::vector<std::byte>& tree, const std::string& name);

/// The save area's bytes up to the end of the copies of the boot regions, `tree` included. Each
/// page of those copies begins with the text that stamp_page() makes of its original address.
std::vector<std::byte> build_save_area(const FakeDump& dump, const std::vector<std::byte>& tree);

/// Fills one page with its address, so that any page can be told from any other.
void stamp_page(std::byte* page, std::uint64_t address);

}  // namespace hadump
