// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/waiting_dump.h"

#include <gmock/gmock.h>
#include <libfdt.h>

namespace hadump {
namespace {

std::vector<std::byte> make_node() {
  std::vector<char> buffer(4096);
  void* tree = buffer.data();
  const auto size = static_cast<int>(buffer.size());
  EXPECT_EQ(fdt_create(tree, size), 0);
  fdt_finish_reservemap(tree);
  fdt_begin_node(tree, "");
  fdt_begin_node(tree, "dump-kernel");
  const char id[16] = {'\x01', '\xab'};
  fdt_property(tree, "hadump,dump-id", id, sizeof(id));
  fdt_property_string(tree, "hadump,mode", "registered");
  fdt_property_u64(tree, "hadump,crash-time", 1'000'000'000);
  fdt_property_u32(tree, "hadump,boots", 2);
  fdt_end_node(tree);
  fdt_end_node(tree);
  EXPECT_EQ(fdt_finish(tree), 0);
  const auto bytes = std::as_bytes(std::span(buffer.data(), fdt_totalsize(tree)));
  return {bytes.begin(), bytes.end()};
}

TEST(DumpNode, SaysWhatAndWhen) {
  const auto dump = parse_dump_node(make_node());
  ASSERT_TRUE(dump) << dump.error().what();
  EXPECT_EQ(dump->dump_id, "01ab" + std::string(28, '0'));
  EXPECT_EQ(dump->mode, "registered");
  EXPECT_EQ(dump->crash_time, 1'000'000'000U);
  EXPECT_EQ(dump->boots, 2U);
}

TEST(DumpNode, SurvivesEveryDamagedByte) {
  const auto good = make_node();
  for (std::size_t i = 0; i < good.size(); ++i)
    for (std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      auto bad = good;
      bad[i] ^= flip;
      static_cast<void>(parse_dump_node(bad));  // Whatever it says, the sanitizers are content.
      static_cast<void>(parse_dump_node(std::span(bad).first(i)));
    }
}

// libfdt looks for a path in the root's name then, and does not see that it has found none.
TEST(DumpNode, RefusesTreesOfOldVersions) {
  for (std::uint32_t version = 0; version < 17; ++version) {
    auto node = make_node();
    fdt_set_version(node.data(), version);
    fdt_set_last_comp_version(node.data(), version);
    EXPECT_FALSE(parse_dump_node(node)) << version;
  }
}

// The fuzzer's: libfdt adds the mode's length to an offset, which wraps around to where it was.
TEST(DumpNode, EndsWhenALengthWrapsAround) {
  auto node = make_node();
  const void* mode = fdt_getprop(node.data(), fdt_path_offset(node.data(), "/dump-kernel"),
                                 "hadump,mode", nullptr);
  const auto at = static_cast<const std::byte*>(mode) - node.data() - 8;
  for (unsigned last = 0; last < 256; ++last) {
    std::fill_n(node.begin() + at, 3, std::byte{0xff});
    node[static_cast<std::size_t>(at) + 3] = std::byte(last);
    EXPECT_FALSE(parse_dump_node(node)) << last;
  }
}

}  // namespace
}  // namespace hadump
