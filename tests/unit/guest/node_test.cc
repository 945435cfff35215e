// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/guest/fake_dump.h"

extern "C" {
#include "fdt_walk.h"
#include "node.h"
}

namespace hadump {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;

FakeDump good_dump() {
  FakeDump dump;
  dump.save_area = {0x40000000, 0x60000000};
  dump.boot_regions = {{0, 256 * kMiB}, {0x3e000000, 0x3e400000}};
  dump.held = {{0x10000000, 0x20000000}, {0x28000000, 0x38000000}};
  dump.holes = {{0x10000000, 0x10003000}, {0x2ffff000, 0x30001000}};
  dump.released = {{0x20000000, 0x28000000}};
  dump.boots = 3;
  return dump;
}

/// Empty when the node is good, else what the module would log.
std::string complaint(const std::vector<std::byte>& tree) {
  hadump_node node;
  const char* why = nullptr;
  const int rc = hadump_node_read(tree.data(), static_cast<u32>(tree.size()), &node, &why);
  if (rc == 0) return {};
  EXPECT_EQ(-EINVAL, rc);
  return why != nullptr ? why : "no reason given";
}

std::string complaint(const FakeDump& dump) {
  return complaint(build_tree(dump));
}

std::vector<std::byte> big_endian(std::initializer_list<std::uint64_t> values) {
  std::vector<std::byte> bytes;
  for (const std::uint64_t value : values)
    for (int shift = 56; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<std::byte>(value >> shift & 0xff));
  return bytes;
}

TEST(ReadNode, TakesWhatLibfdtWrote) {
  const std::vector<std::byte> tree = build_tree(good_dump());
  hadump_node node;
  const char* why = nullptr;
  ASSERT_EQ(0, hadump_node_read(tree.data(), static_cast<u32>(tree.size()), &node, &why)) << why;
  EXPECT_EQ(0x01, node.dump_id[0]);
  EXPECT_FALSE(node.registered);
  EXPECT_EQ(3U, node.boots);
  EXPECT_EQ(1700000000U, node.crash_time);
  EXPECT_EQ(0x40000000U, node.save_area.start);
  EXPECT_EQ(0x60000000U, node.save_area.end);
  ASSERT_EQ(2U, node.held.nr);
  EXPECT_EQ(0x28000000U, hadump_list_range(&node.held, 1).start);
  EXPECT_EQ(0x38000000U, hadump_list_range(&node.held, 1).end);
  ASSERT_EQ(2U, node.boot_regions.nr);
  EXPECT_EQ(0x3e400000U, hadump_list_range(&node.boot_regions, 1).end);
  EXPECT_EQ(2U, node.holes.nr);
  EXPECT_EQ(1U, node.released.nr);
  EXPECT_EQ(0x40200000U, node.low.start);
  EXPECT_EQ(260 * kMiB, hadump_range_size(node.low));
}

TEST(ReadNode, IgnoresUnknownProperties) {
  std::vector<std::byte> tree = build_tree(good_dump());
  ASSERT_TRUE(set_property(tree, "hadump,from-the-future", big_endian({1, 2, 3})));
  EXPECT_EQ("", complaint(tree));
}

// As hadumpd, which reads nodes that a guest can have written: names and numbers have limits, so
// that the time to read a node does not depend on them.
TEST(ReadNode, ReadsNoNameBeyondItsLimit) {
  for (const unsigned more : {0U, 1U}) {
    std::vector<std::byte> tree = build_tree(good_dump());
    const std::string name(HADUMP_MAX_PROPERTY_NAME + more, 'n');
    ASSERT_TRUE(set_property(tree, name.c_str(), big_endian({1})));
    if (more != 0) {
      EXPECT_THAT(complaint(tree), HasSubstr("too long"));
    } else {
      EXPECT_EQ(complaint(tree), "");
    }
  }
}

TEST(ReadNode, CountsProperties) {
  std::vector<std::byte> tree = build_tree(good_dump());
  for (unsigned i = 0; i < HADUMP_MAX_NODE_PROPERTIES; ++i)
    ASSERT_TRUE(set_property(tree, std::to_string(i).c_str(), big_endian({1})));
  EXPECT_THAT(complaint(tree), HasSubstr("too many properties"));
}

TEST(ReadNode, NeedsEveryPropertyButTwo) {
  for (const char* name :
       {HADUMP_PROP_MARKER, HADUMP_PROP_RTAS, "compatible", HADUMP_PROP_VERSION,
        HADUMP_PROP_DUMP_ID, HADUMP_PROP_MODE, HADUMP_PROP_BOOT_REGIONS, HADUMP_PROP_SAVE_AREA,
        HADUMP_PROP_HELD, HADUMP_PROP_BLOCKS, HADUMP_PROP_ELFCOREHDR, HADUMP_PROP_CPU,
        HADUMP_PROP_HPTE, HADUMP_PROP_CRASH_TIME, HADUMP_PROP_BOOTS}) {
    std::vector<std::byte> tree = build_tree(good_dump());
    ASSERT_TRUE(drop_property(tree, name));
    EXPECT_THAT(complaint(tree), HasSubstr("missing")) << name;
  }
  for (const char* name : {HADUMP_PROP_HOLES, HADUMP_PROP_RELEASED}) {
    std::vector<std::byte> tree = build_tree(good_dump());
    ASSERT_TRUE(drop_property(tree, name));
    EXPECT_EQ("", complaint(tree)) << name;
  }
}

TEST(ReadNode, RefusesWrongValues) {
  const struct {
    const char* name;
    std::vector<std::byte> value;
    const char* why;
  } rows[] = {
      {HADUMP_PROP_MARKER, big_endian({1}), "marker"},
      {HADUMP_PROP_VERSION, big_endian({1}), "version"},
      {HADUMP_PROP_DUMP_ID, big_endian({1}), "dump id"},
      {HADUMP_PROP_MODE, big_endian({1}), "mode"},
      {HADUMP_PROP_BOOTS, big_endian({1}), "boots"},
      {HADUMP_PROP_CRASH_TIME, {}, "crash time"},
      {HADUMP_PROP_RTAS, {}, "too short"},
      {HADUMP_PROP_RTAS, big_endian({2, 0, 0, 0, 0}), "version"},
      {HADUMP_PROP_SAVE_AREA, big_endian({0x40001000, 0x1000000}), "save area"},
      {HADUMP_PROP_SAVE_AREA, big_endian({0x40000000, 0x1000001}), "save area"},
      {HADUMP_PROP_SAVE_AREA, big_endian({0x40000000, ~0ULL & ~0xfffULL}), "save area"},
      {HADUMP_PROP_SAVE_AREA, big_endian({0x40000000}), "save area"},
      {HADUMP_PROP_CPU, big_endian({0x30000000, 8}), "outside"},
      {HADUMP_PROP_CPU, big_endian({0x40011008, 8}), "malformed"},
      {HADUMP_PROP_HPTE, big_endian({0x40011000, 0}), "malformed"},
      {HADUMP_PROP_BLOCKS, big_endian({0x40013000, 6}), "does not reach"},
      {HADUMP_PROP_BLOCKS, big_endian({0x10000000, 4096}), "outside"},
      {HADUMP_PROP_HELD, big_endian({0x10000000}), "malformed"},
      {HADUMP_PROP_HELD, big_endian({0x10000000, 0}), "malformed"},
      {HADUMP_PROP_HELD, big_endian({0x28000000, 0x10000000, 0x10000000, 0x8000000}), "malformed"},
      {HADUMP_PROP_HELD, big_endian({0x10000000, 0x10000000, 0x18000000, 0x8000000}), "malformed"},
      {HADUMP_PROP_HELD, big_endian({1ULL << 46, 0x8000000}), "malformed"},
      {HADUMP_PROP_HELD, big_endian({0x10000000, 0x10001000, 0x28000000, 0x10000000}), "overlap"},
      {HADUMP_PROP_BOOT_REGIONS, {}, "boot regions"},
  };
  for (const auto& row : rows) {
    std::vector<std::byte> tree = build_tree(good_dump());
    ASSERT_TRUE(set_property(tree, row.name, row.value));
    EXPECT_THAT(complaint(tree), HasSubstr(row.why)) << row.name;
  }
}

TEST(ReadNode, RefusesOverlaps) {
  const struct {
    const char* what;
    void (*change)(FakeDump&);
  } rows[] = {
      {"held and the window", [](FakeDump& d) { d.boot_regions[0].end = 0x18000000; }},
      {"held and released",
       [](FakeDump& d) {
         d.released = {{0x1ffff000, 0x28000000}};
       }},
      {"held and the save area",
       [](FakeDump& d) {
         d.held.push_back({0x40000000, 0x48000000});
       }},
      {"released and the window",
       [](FakeDump& d) {
         d.released = {{0xffff000, 0x10000000}};
       }},
      {"released and the save area",
       [](FakeDump& d) {
         d.released = {{0x50000000, 0x58000000}};
       }},
  };
  for (const auto& row : rows) {
    FakeDump dump = good_dump();
    row.change(dump);
    EXPECT_THAT(complaint(dump), HasSubstr("overlap")) << row.what;
  }
}

TEST(ReadNode, RefusesHolesOutsideHeldMemory) {
  FakeDump dump = good_dump();
  dump.holes = {{0x1ffff000, 0x20001000}};
  EXPECT_THAT(complaint(dump), HasSubstr("hole"));
  dump.holes = {{0x38000000, 0x38001000}};
  EXPECT_THAT(complaint(dump), HasSubstr("hole"));
  dump.holes = {{0x10000000, 0x10001000}, {0x11000000, 0x11001000}, {0x37fff000, 0x38000000}};
  EXPECT_EQ("", complaint(dump));
}

TEST(ReadNode, WantsWholeBlocksExceptAroundARegisteredSaveArea) {
  FakeDump dump = good_dump();
  dump.holes.clear();
  dump.held = {{0x10000000, 0x20000000}, {0x28000000, 0x30100000}};
  EXPECT_THAT(complaint(dump), HasSubstr("whole blocks"));

  dump.boot_regions = {{0, 128 * kMiB}};
  dump.save_area = {0x30200000, 0x3da00000};
  dump.held = {{0x10000000, 0x20000000}, {0x28000000, 0x30200000}, {0x3da00000, 0x3e000000}};
  EXPECT_THAT(complaint(dump), HasSubstr("whole blocks")) << "added";
  dump.mode = "registered";
  dump.held.back() = {0x3da00000, 0x40000000};
  EXPECT_EQ("", complaint(dump));
}

TEST(ReadNode, RefusesTooManyRanges) {
  FakeDump dump = good_dump();
  dump.holes.clear();
  dump.released.clear();
  dump.held = {{0x10000000, 0x38000000}};
  for (std::uint64_t i = 0; i < HADUMP_MAX_RANGES + 1; ++i)
    dump.holes.push_back({0x10000000 + i * 0x2000, 0x10001000 + i * 0x2000});
  EXPECT_THAT(complaint(dump), HasSubstr("list of ranges"));
  dump.holes.pop_back();
  EXPECT_EQ("", complaint(dump));
}

TEST(TreeSize, RefusesWhatIsNoTree) {
  std::vector<std::byte> tree = build_tree(good_dump());
  EXPECT_EQ(tree.size(), hadump_tree_size(tree.data()));
  tree[0] = std::byte{0};
  EXPECT_EQ(0U, hadump_tree_size(tree.data()));
  tree = build_tree(good_dump());
  tree[5] = std::byte{0xff};  // 16 MiB
  EXPECT_EQ(0U, hadump_tree_size(tree.data()));
  tree = build_tree(good_dump());
  tree[23] = std::byte{16};  // version
  EXPECT_EQ(0U, hadump_tree_size(tree.data()));
}

}  // namespace
}  // namespace hadump
