// SPDX-License-Identifier: GPL-2.0-or-later
// Damaged trees: whatever the bytes, the reader stays inside them (the sanitizers say so), and what
// it takes has the properties that the module relies on.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "tests/guest/fake_dump.h"

extern "C" {
#include "node.h"
}

namespace hadump {
namespace {

std::vector<std::byte> seed_tree() {
  FakeDump dump;
  dump.save_area = {0x40000000, 0x48000000};
  dump.boot_regions = {{0, 0x1000000}};
  dump.held = {{0x10000000, 0x20000000}, {0x28000000, 0x38000000}};
  dump.holes = {{0x10000000, 0x10003000}};
  return build_tree(dump);
}

void expect_sane(const hadump_list& list) {
  std::uint64_t previous = 0;
  for (u32 i = 0; i < list.nr; ++i) {
    const hadump_range r = hadump_list_range(&list, i);
    ASSERT_LT(r.start, r.end);
    ASSERT_LE(previous, r.start);
    ASSERT_LE(r.end, HADUMP_MAX_ADDRESS);
    ASSERT_EQ(0U, (r.start | r.end) % HADUMP_FRAME_SIZE);
    previous = r.end;
  }
}

/// @return whether the node was taken.
bool read_exactly(const std::vector<std::byte>& bytes) {
  // On the heap with nothing after it, so that AddressSanitizer sees a read too far.
  const std::unique_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  hadump_node node;
  const char* why = nullptr;
  if (hadump_node_read(copy.get(), static_cast<u32>(bytes.size()), &node, &why) != 0) {
    EXPECT_NE(nullptr, why);
    return false;
  }
  expect_sane(node.held);
  expect_sane(node.holes);
  expect_sane(node.released);
  expect_sane(node.boot_regions);
  EXPECT_TRUE(hadump_range_contains(node.save_area, node.block_table));
  EXPECT_TRUE(hadump_range_contains(node.save_area, node.low));
  return true;
}

TEST(FuzzNode, SurvivesEveryTruncation) {
  const std::vector<std::byte> tree = seed_tree();
  ASSERT_TRUE(read_exactly(tree));
  for (std::size_t size = 0; size < tree.size(); ++size)
    EXPECT_FALSE(read_exactly({tree.begin(), tree.begin() + static_cast<std::ptrdiff_t>(size)}))
        << size;
}

TEST(FuzzNode, SurvivesEveryTruncationThatTheHeaderAdmits) {
  const std::vector<std::byte> tree = seed_tree();
  for (std::size_t size = 40; size < tree.size(); ++size) {
    std::vector<std::byte> cut(tree.begin(), tree.begin() + static_cast<std::ptrdiff_t>(size));
    for (int i = 0; i < 4; ++i)
      cut[static_cast<std::size_t>(4 + i)] = static_cast<std::byte>(size >> (24 - 8 * i) & 0xff);
    static_cast<void>(read_exactly(cut));
  }
}

TEST(FuzzNode, SurvivesDamage) {
  const std::vector<std::byte> tree = seed_tree();
  std::mt19937 random(20240501);
  const std::uint8_t values[] = {0, 1, 2, 3, 4, 9, 0x7f, 0x80, 0xff};
  int taken = 0;
  for (int round = 0; round < 60000; ++round) {
    std::vector<std::byte> damaged = tree;
    for (unsigned n = 1 + random() % 4; n > 0; --n) {
      // Mostly the header, the tokens and the numbers near the start.
      const std::size_t at = random() % (random() % 2 ? damaged.size() : 60);
      damaged[at] = static_cast<std::byte>(values[random() % std::size(values)]);
    }
    taken += read_exactly(damaged) ? 1 : 0;
  }
  EXPECT_GT(taken, 0)
      << "every damaged tree was refused: the damage is too coarse to test anything";
}

}  // namespace
}  // namespace hadump
