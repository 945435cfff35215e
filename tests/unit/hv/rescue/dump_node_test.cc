// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/dump_node.h"

#include <gtest/gtest.h>

#include "core/abi/hadump_abi.h"

namespace hadump {
namespace {

// The largest that is accepted: every other frame released, as many ranges as fit.
TEST(DumpNode, TheLargestComesBack) {
  DumpNode node;
  node.boot_regions = {{frames_of_bytes(0, 128_MiB), GuestPhys{4_GiB + 4_MiB}}};
  node.save_area = frames_of_bytes(4_GiB, 160_MiB);
  std::uint64_t gfn = 1_GiB >> kFrameShift;
  for (unsigned i = 0; i < HADUMP_MAX_RANGES; ++i, gfn += 4) {
    node.held.insert({Gfn{gfn}, Gfn{gfn + 1}});
    node.released.insert({Gfn{gfn + 2}, Gfn{gfn + 3}});
  }
  node.block_table = {GuestPhys{4_GiB + 0x1000}, 5};
  node.elf_header = node.cpu_state = node.hpte = {GuestPhys{4_GiB + 0x2000}, 700};
  const auto tree = encode_dump_node(node);
  ASSERT_TRUE(tree) << tree.error().what();
  ASSERT_GT(tree->size(), HADUMP_MAX_NODE_SIZE - 64_KiB);
  const auto back = decode_dump_node(*tree);
  ASSERT_TRUE(back) << back.error().what();
  EXPECT_EQ(*back, node);
}

}  // namespace
}  // namespace hadump
