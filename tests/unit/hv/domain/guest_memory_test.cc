// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/guest_memory.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <new>

#include "hv/domain/parallel.h"
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

TEST(RemovedMemory, LeavesClear) {
  InMemoryGuest guest{{Gfn{0}, Gfn{3000}}};
  for (std::uint64_t gfn = 0; gfn < 3000; ++gfn) guest.fill(Gfn{gfn}, std::byte{7});
  ASSERT_TRUE(guest.remove({Gfn{1}, Gfn{2500}}));
  EXPECT_EQ(guest.leaked_frames(), 0U);
  EXPECT_TRUE(guest.exists(Gfn{0}) && guest.exists(Gfn{2500}));
  EXPECT_FALSE(guest.exists(Gfn{1}) || guest.exists(Gfn{2499}));
  EXPECT_EQ(guest.content(Gfn{2500})[0], std::byte{7});
}

TEST(RemovedMemory, StaysWhenItCannotBeCleared) {
  InMemoryGuest guest{{Gfn{0}, Gfn{16}}};
  guest.fill(Gfn{9}, std::byte{7}).make_unwritable(Gfn{9});
  auto done = guest.remove({Gfn{0}, Gfn{16}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
  EXPECT_TRUE(guest.exists(Gfn{9}));
  EXPECT_EQ(guest.leaked_frames(), 0U);
}

TEST(RemovedMemory, IsNotTouchedWhereItIsBroken) {
  InMemoryGuest guest{{Gfn{0}, Gfn{16}}};
  guest.fill(Gfn{9}, std::byte{7}).make_broken(Gfn{9});
  ASSERT_TRUE(guest.remove({Gfn{0}, Gfn{16}}));
  EXPECT_EQ(guest.content(Gfn{9})[0], std::byte{7});
}

TEST(ParallelForPieces, RunningOutOfMemoryIsAnError) {
  const auto done = parallel_for_pieces({{Gfn{0}, Gfn{64}}}, 1, [](FrameRange piece) -> Result<> {
    if (piece.begin == Gfn{33}) throw std::bad_alloc();
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().os_errno(), ENOMEM);
}

}  // namespace
}  // namespace hadump
