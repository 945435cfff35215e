// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/guest_memory.h"

#include <gtest/gtest.h>

#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

TEST(ReadGuest, CrossesFrames) {
  InMemoryGuest guest{{Gfn{0}, Gfn{4}}};
  guest.fill(Gfn{1}, std::byte{1}).fill(Gfn{2}, std::byte{2});
  std::vector<std::byte> out(4);
  ASSERT_TRUE(read_guest(guest, GuestPhys{2 * kFrameSize - 2}, out));
  EXPECT_EQ(out, (std::vector{std::byte{1}, std::byte{1}, std::byte{2}, std::byte{2}}));
}

TEST(WriteGuest, RefusesWhatIsNotThere) {
  InMemoryGuest guest{{Gfn{0}, Gfn{1}}};
  const std::vector<std::byte> data(kFrameSize + 1);
  EXPECT_FALSE(write_guest(guest, GuestPhys{0}, data));
}

}  // namespace
}  // namespace hadump
