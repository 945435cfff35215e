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

// Whoever is killed after the note finds the content in the spare frames only.
TEST(ReplacedMemory, IsWrittenDownBeforeItIsCleared) {
  InMemoryGuest guest{{Gfn{0}, Gfn{16}}};
  const FrameSet frames{{Gfn{3}, Gfn{5}}, {Gfn{9}, Gfn{10}}};
  for (std::uint64_t gfn = 0; gfn < 16; ++gfn)
    guest.fill(Gfn{gfn}, static_cast<std::byte>(gfn + 1));
  const Gfn spare{1024};
  FrameSet noted;
  const auto killed = guest.replace(frames, spare, 0, [&](const FrameSet& now) -> Result<> {
    noted = now;
    return fail(ErrorCode::kCancelled, "killed");
  });
  ASSERT_FALSE(killed);
  EXPECT_EQ(noted, frames);
  for (const std::uint64_t gfn : {3, 4, 9}) EXPECT_EQ(guest.moved(Gfn{gfn}), 0U) << gfn;

  guest.fail_next("move");
  ASSERT_FALSE(guest.finish_replace(noted, spare));
  ASSERT_TRUE(guest.finish_replace(noted, spare));
  ASSERT_TRUE(guest.finish_replace(noted, spare));
  for (std::uint64_t gfn = 0; gfn < 16; ++gfn) {
    EXPECT_EQ(guest.content(Gfn{gfn})[0], static_cast<std::byte>(gfn + 1)) << gfn;
    EXPECT_EQ(guest.moved(Gfn{gfn}), frames.contains(Gfn{gfn}) ? 1U : 0U) << gfn;
  }
  EXPECT_EQ(guest.leaked_frames(), 0U) << "whoever has mapped it keeps it until the host gets it";
}

TEST(ReplacedMemory, LeavesTheHostWhatItMustKeep) {
  InMemoryGuest guest{{Gfn{0}, Gfn{16}}};
  guest.set_free_frames(10);
  const auto note = [](const FrameSet&) { return Result<>(); };
  const auto done = guest.replace({{Gfn{3}, Gfn{5}}}, Gfn{1024}, 9 * kFrameSize, note);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  EXPECT_TRUE(guest.replace({{Gfn{3}, Gfn{5}}}, Gfn{1024}, 8 * kFrameSize, note));
}

TEST(ReplacedMemory, MayBeMoreThanThereAreSpareFrames) {
  constexpr std::uint64_t kMany = 2 * GuestMemory::kSpareFrames + 100;
  InMemoryGuest guest{{Gfn{0}, Gfn{kMany}}};
  for (std::uint64_t gfn = 0; gfn < kMany; ++gfn)
    guest.fill(Gfn{gfn}, static_cast<std::byte>(gfn % 251));
  int notes = 0;
  ASSERT_TRUE(guest.replace({{Gfn{0}, Gfn{kMany + 5}}}, Gfn{4096}, 0, [&](const FrameSet&) {
    ++notes;
    return Result<>();
  }));
  EXPECT_EQ(notes, 6) << "three times, and that it is over";
  std::uint64_t wrong = 0;
  for (std::uint64_t gfn = 0; gfn < kMany; ++gfn)
    wrong += guest.moved(Gfn{gfn}) != 1 || guest.content(Gfn{gfn})[0] != std::byte(gfn % 251);
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(guest.total_frames().value(), kMany);
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
