// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that crashes again while a dump waits in it.
#include "hv/rescue/crash_run.h"

#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "hv/agent/crash_limit.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(CrashRunTest, KeepsTheFirstDumpInASecondCrash) {
  ASSERT_TRUE(run());
  auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  // The guest has released the block at 256 MiB and crashes again; it has written over both the
  // window and that block.
  const std::uint8_t released = HADUMP_BLOCK_RELEASED;
  ASSERT_TRUE(write_guest(guest, GuestPhys{saved->node.block_table.address.value + 2},
                          std::as_bytes(std::span(&released, 1))));
  guest.fill(Gfn{0}, std::byte{0xff}).fill(frame_of(GuestPhys{256_MiB}), std::byte{0xff});
  domain.crash_again();

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.boots, 2U);
  EXPECT_EQ(dumped(Gfn{0}), std::to_integer<int>(mark(0)));  // from LOW, not what was there
  EXPECT_EQ(dumped(frame_of(GuestPhys{256_MiB})), -1);
  EXPECT_EQ(dumped(frame_of(GuestPhys{384_MiB})),
            std::to_integer<int>(mark(384_MiB >> kFrameShift)));
  saved = read_snapshot(guest, record.save_area, true);
  ASSERT_TRUE(saved) << saved.error().what();
  EXPECT_EQ(saved->node.released, (FrameSet{frames_of_bytes(256_MiB, 128_MiB)}));
  EXPECT_EQ(saved->node.boots, 2U);
  EXPECT_TRUE(warnings.empty() ||
              warnings == std::vector<std::string>{"the guest has no VMCOREINFO; the dump will "
                                                   "have none"});
}

// The module clears the mark before it writes its state to xenstore; the guest may crash in
// between, or before the agent has looked.
TEST_F(CrashRunTest, BeginsANewDumpWhenTheGuestHasEndedTheFirst) {
  ASSERT_TRUE(run());
  const DumpId first = record.dump_id;
  const std::uint64_t over = 0;
  ASSERT_TRUE(write_guest(
      guest,
      GuestPhys{address_of(record.save_area.begin).value + offsetof(hadump_save_header, complete)},
      std::as_bytes(std::span(&over, 1))));
  for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64) guest.fill(Gfn{gfn}, mark(gfn));
  domain.crash_again();
  next_dump_id = 9;

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_NE(record.dump_id, first);
  EXPECT_EQ(record.boots, 1U);
  EXPECT_EQ(record.raised_limit_kib, limit_before + (record.save_area.bytes() >> 10));
  expect_dump_is_true();
}

TEST_F(CrashRunTest, LeavesASecondCrashAsFoundWhenTheSnapshotIsDamaged) {
  ASSERT_TRUE(run());
  domain.crash_again();
  guest.fill(Gfn{record.save_area.begin.value + 1}, std::byte{0xee});  // the first section

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(domain.pauses(), 0);
  EXPECT_EQ(record.step, Step::kStarted);
  EXPECT_TRUE(guest.exists(record.save_area.begin));
}

TEST_F(CrashRunTest, HoldsBlocksThatTheGuestsTableHasGarbageFor) {
  ASSERT_TRUE(run());
  auto saved = read_snapshot(guest, record.save_area, false);
  const std::uint8_t garbage[] = {1, 7, 0, 0};  // the window "released", block 1 nonsense
  ASSERT_TRUE(
      write_guest(guest, saved->node.block_table.address, std::as_bytes(std::span(garbage))));
  domain.crash_again();
  warnings.clear();

  ASSERT_TRUE(run());

  saved = read_snapshot(guest, record.save_area, true);
  EXPECT_TRUE(saved->node.released.empty());
  EXPECT_THAT(warnings, testing::Contains(HasSubstr("invalid entry")));
}

TEST_F(CrashRunTest, FinishesASecondCrashThatWasInterrupted) {
  ASSERT_TRUE(run());
  domain.crash_again();
  records.stop_after(Step::kSnapshotComplete);
  ASSERT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  DomainRecord found = records.saved.back();
  EXPECT_TRUE(found.rewrite_pending);

  ASSERT_TRUE(run(found));

  EXPECT_EQ(found.boots, 2U);
  record = found;
  expect_dump_is_true();
}

}  // namespace
}  // namespace hadump
