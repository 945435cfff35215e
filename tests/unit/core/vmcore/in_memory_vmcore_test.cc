// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/in_memory_vmcore.h"

#include <gmock/gmock.h>

#include <array>
#include <cerrno>

namespace hadump {
namespace {

using testing::ElementsAre;

TEST(InMemoryVmcore, GivesWhatWasPutIn) {
  InMemoryVmcore dump({{Gfn{4}, Gfn{8}}});
  const std::array<std::byte, 2> bytes{std::byte{7}, std::byte{8}};
  dump.put(GuestPhys{0x5FFF}, bytes).refuse(Gfn{7}).leave_out(Gfn{4});

  std::vector<std::byte> out(5 * kFrameSize);
  std::vector<FrameStatus> status(5);
  ASSERT_TRUE(dump.read(Gfn{4}, out, status));

  using enum FrameStatus;
  EXPECT_THAT(status, ElementsAre(kAbsent, kRead, kRead, kFailed, kAbsent));
  EXPECT_EQ(out[2 * kFrameSize - 1], std::byte{7});
  EXPECT_EQ(out[2 * kFrameSize], std::byte{8});
}

TEST(InMemoryVmcore, FailsOneReadThenRecovers) {
  InMemoryVmcore dump({{Gfn{0}, Gfn{1}}});
  dump.fail_next_read(ENOMEM);
  std::vector<std::byte> out(kFrameSize);
  std::vector<FrameStatus> status(1);
  const auto first = dump.read(Gfn{0}, out, status);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().os_errno(), ENOMEM);
  EXPECT_TRUE(dump.read(Gfn{0}, out, status));
}

TEST(InMemoryVmcore, ViewsEndWhereAFrameIsBad) {
  InMemoryVmcore dump({{Gfn{0}, Gfn{4}}});
  dump.refuse(Gfn{2});
  const auto view = dump.map({Gfn{0}, Gfn{4}});
  ASSERT_TRUE(view);
  EXPECT_EQ(view->range(), (FrameRange{Gfn{0}, Gfn{2}}));
  EXPECT_FALSE(view->is_mapped());
}

}  // namespace
}  // namespace hadump
