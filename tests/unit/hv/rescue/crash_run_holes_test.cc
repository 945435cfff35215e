// SPDX-License-Identifier: GPL-2.0-or-later
// Guests whose balloon has left holes, and what the domain's limit and target are meanwhile.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "hv/rescue/crash_run.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;

class BalloonedCrashRunTest : public CrashRunTest {
 protected:
  // As the module does before it gives [256 MiB, 384 MiB) to Linux.
  void mark_third_block_released() {
    const auto saved = read_snapshot(guest, record.save_area, false);
    const std::uint8_t released[] = {HADUMP_BLOCK_RELEASED};
    ASSERT_TRUE(write_guest(guest, GuestPhys{saved->node.block_table.address.value + 2},
                            std::as_bytes(std::span(released))));
  }
};

// As many frames as there should be, but some of them at addresses where nobody looks.
TEST_F(BalloonedCrashRunTest, LooksAtEveryFrameWhenRamDoesNotEndWhereItShould) {
  const FrameRange end = frames_of_bytes(512_MiB - 256_KiB, 256_KiB);
  ASSERT_TRUE(guest.remove(end));
  ASSERT_TRUE(guest.populate({frames_of_bytes(kRam + 64_MiB, 256_KiB)}));

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_TRUE(record.full_scan);
  EXPECT_EQ(dumped(end.begin), -1);
}

TEST_F(BalloonedCrashRunTest, LeavesBalloonedFramesOutAndFillsTheWindow) {
  ASSERT_TRUE(guest.remove({Gfn{640}, Gfn{704}}));               // in the window
  ASSERT_TRUE(guest.remove(frames_of_bytes(256_MiB, 256_KiB)));  // held
  store.target_kib = (kRam >> 10) - 512;

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_TRUE(record.full_scan);
  EXPECT_EQ(dumped(Gfn{640}), -1);
  EXPECT_EQ(dumped(frame_of(GuestPhys{256_MiB})), -1);
  EXPECT_EQ(dumped(Gfn{704}), std::to_integer<int>(mark(704)));
  EXPECT_TRUE(guest.exists(Gfn{640}));
  EXPECT_FALSE(guest.exists(frame_of(GuestPhys{256_MiB})));
  auto saved = read_snapshot(guest, record.save_area, false);
  EXPECT_EQ(saved->node.holes, (FrameSet{frames_of_bytes(256_MiB, 256_KiB)}));
  // A lower target would make the small guest balloon its window away.
  EXPECT_EQ(store.target_kib, kRam >> 10);

  const auto kept = finish_dump(domain, guest, store, records, record, 5);

  ASSERT_TRUE(kept) << kept.error().what();
  EXPECT_EQ(*kept, 0U);  // its balloon gives the window's surplus back when it sees the target
  EXPECT_EQ(store.target_kib, (kRam >> 10) - 512);
  EXPECT_EQ(guest.limit_kib(), limit_before);
}

// What was changed for the dump is not forgotten because Xen or xenstored does not answer once.
TEST_F(BalloonedCrashRunTest, RestoresLimitAndTargetWhenACallFails) {
  ASSERT_TRUE(guest.remove(frames_of_bytes(256_MiB, 256_KiB)));
  store.target_kib = (kRam >> 10) - 512;
  ASSERT_TRUE(run());
  ASSERT_NE(guest.limit_kib(), limit_before);
  for (const char* call : {"status", "balloon_target"}) {
    const CallHook fails_once = [call,
                                 failed = false](const std::string& what) mutable -> Result<> {
      if (failed || what != call) return {};
      failed = true;
      return fail_os(EIO, what);
    };
    domain.on_call(fails_once);
    store.hook = fails_once;
    EXPECT_FALSE(finish_dump(domain, guest, store, records, record, 5)) << call;
    EXPECT_NE(record.step, Step::kDone);
    EXPECT_TRUE(record.has_snapshot()) << "or a crash now would begin a dump beside this one";
  }
  domain.on_call(no_hook());
  store.hook = no_hook();
  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_EQ(guest.limit_kib(), limit_before);
  EXPECT_EQ(store.target_kib, (kRam >> 10) - 512);
}

// A balloon that has been used for long leaves its holes anywhere.
TEST_F(BalloonedCrashRunTest, BootsAGuestWithManyHoles) {
  FrameSet window_holes;
  FrameSet held_holes;
  for (std::uint64_t gfn = 2; gfn < 512_MiB >> kFrameShift; gfn += 4) {
    const FrameRange hole{Gfn{gfn}, Gfn{gfn + 1}};
    ASSERT_TRUE(guest.remove(hole));
    (gfn < kWindow >> kFrameShift ? window_holes : held_holes).insert(hole);
  }
  ASSERT_GT(held_holes.ranges().size(), 20000U);
  store.target_kib = (kRam >> 10) - 128 * 1024;

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  const auto saved = read_snapshot(guest, record.save_area, true);
  ASSERT_TRUE(saved) << saved.error().what();
  EXPECT_EQ(saved->node.holes, held_holes);
  EXPECT_EQ(dumped(held_holes.ranges()[7].begin), -1);
  EXPECT_EQ(dumped(Gfn{2}), -1);
  EXPECT_EQ(dumped(Gfn{192}), std::to_integer<int>(mark(192)));
  for (FrameRange hole : window_holes.ranges()) ASSERT_TRUE(guest.exists(hole.begin));
}

// A guest decides how many holes it has; what no dump could list must not cost the host memory.
TEST_F(BalloonedCrashRunTest, LeavesAGuestWithTooManyHolesAloneBeforeAnythingIsAdded) {
  config.memory_bytes = 1_GiB;
  guest.add({Gfn{kRam >> kFrameShift}, Gfn{1_GiB >> kFrameShift}});
  for (std::uint64_t gfn = kWindow >> kFrameShift; gfn < 1_GiB >> kFrameShift; gfn += 3)
    ASSERT_TRUE(guest.remove({Gfn{gfn}, Gfn{gfn + 1}}));
  const int changes_before = guest.changes();

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(done.error().what(), HasSubstr("65000"));
  EXPECT_THAT(done.error().what(), HasSubstr("xl dump-core"));
  EXPECT_EQ(record.error, done.error().what());
  EXPECT_EQ(guest.changes(), changes_before);
  EXPECT_EQ(guest.limit_kib(), limit_before);
  EXPECT_FALSE(guest.exists(Gfn{4_GiB >> kFrameShift}));
  EXPECT_EQ(domain.pauses(), 0);
  EXPECT_EQ(record.step, Step::kNone);
}

// What was added for the window, a guest can put elsewhere, and crash: it is filled again, but the
// limit must not grow each time.
TEST_F(BalloonedCrashRunTest, RaisesTheLimitOnceForADump) {
  const FrameRange hole{Gfn{640}, Gfn{704}};
  ASSERT_TRUE(guest.remove(hole));
  ASSERT_TRUE(run());
  const std::uint64_t limit =
      limit_before + (record.save_area.bytes() >> 10) + (hole.bytes() >> 10);
  EXPECT_EQ(guest.limit_kib(), limit);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(guest.remove(hole));
    domain.crash_again();
    ASSERT_TRUE(run());
    EXPECT_EQ(guest.limit_kib(), limit);
    EXPECT_TRUE(guest.exists(hole.begin));
  }
  EXPECT_EQ(finish_dump(domain, guest, store, records, record, 5).value(), 0U);
  EXPECT_EQ(guest.limit_kib(), limit_before);
}

// To the kernel of the second boot, what the first one gave back is RAM, all of it.
TEST_F(BalloonedCrashRunTest, FillsTheHolesOfReleasedBlocks) {
  const FrameRange hole = frames_of_bytes(256_MiB, 256_KiB);
  const FrameRange other = frames_of_bytes(300_MiB, 256_KiB);
  const FrameRange held = frames_of_bytes(400_MiB, 256_KiB);
  for (FrameRange range : {hole, held}) ASSERT_TRUE(guest.remove(range));
  const std::uint64_t limit = *guest.total_frames() * 4;
  ASSERT_TRUE(guest.set_limit_kib(limit));
  ASSERT_TRUE(run());
  mark_third_block_released();
  ASSERT_TRUE(guest.remove(other));  // The balloon gave this to Xen, and took
  ASSERT_TRUE(guest.populate({frames_of_bytes(256_MiB, 64_KiB)}));  // a part of that.
  domain.crash_again();

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  for (FrameRange range : {hole, other})
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) ASSERT_TRUE(guest.exists(gfn));
  EXPECT_FALSE(guest.exists(held.begin));
  const auto saved = read_snapshot(guest, record.save_area, true);
  EXPECT_EQ(saved->node.holes, (FrameSet{held}));
  EXPECT_EQ(saved->node.released, (FrameSet{frames_of_bytes(256_MiB, 128_MiB)}));
  const std::uint64_t most = limit + ((record.save_area.bytes() + hole.bytes()) >> 10);
  EXPECT_LE(guest.limit_kib(), most);
  EXPECT_EQ(record.raised_limit_kib, guest.limit_kib());
  EXPECT_EQ(record.old_limit_kib, limit);

  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_EQ(guest.limit_kib(), limit);
}

// Then the domain has all that it may have: its memory, and what libxl and we have added.
TEST_F(BalloonedCrashRunTest, FillsTheLastHoles) {
  const FrameRange hole = frames_of_bytes(256_MiB, 1_MiB);
  ASSERT_TRUE(guest.remove(hole));
  ASSERT_TRUE(guest.set_limit_kib(*guest.total_frames() * 4));
  ASSERT_TRUE(run());
  mark_third_block_released();
  domain.crash_again();

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_TRUE(guest.exists(hole.begin));
}

// What a guest has taken beyond its memory while it ran, it cannot have twice.
TEST_F(BalloonedCrashRunTest, DoesNotFillHolesBeyondWhatTheDomainMayHave) {
  ASSERT_TRUE(guest.set_limit_kib(*guest.total_frames() * 4));
  ASSERT_TRUE(run());
  mark_third_block_released();
  const FrameRange hole = frames_of_bytes(256_MiB, 1_MiB);
  ASSERT_TRUE(guest.remove(hole));
  ASSERT_TRUE(guest.populate({frames_of_bytes(kRam + 64_MiB, 1_MiB)}));
  domain.crash_again();

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("holes"));
  EXPECT_FALSE(guest.exists(hole.begin));
}

TEST_F(BalloonedCrashRunTest, RaisesTheLimitForTheWindowsHolesInRegisteredModeToo) {
  ASSERT_TRUE(guest.remove({Gfn{640}, Gfn{704}}));
  store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
  ASSERT_TRUE(run());
  ASSERT_EQ(record.mode, SaveMode::kRegistered);
  EXPECT_EQ(guest.limit_kib(), limit_before + 256);
  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_EQ(guest.limit_kib(), limit_before);
}

// The guest gives frames of its save area to the hypervisor and takes as many elsewhere.
TEST_F(BalloonedCrashRunTest, SaysHowMuchAddedMemoryAGuestHasKept) {
  const std::uint64_t limit = (*guest.total_frames() + 1) * 4;
  ASSERT_TRUE(guest.set_limit_kib(limit));
  ASSERT_TRUE(run());
  ASSERT_TRUE(guest.remove({record.save_area.begin, Gfn{record.save_area.begin.value + 256}}));
  ASSERT_TRUE(guest.populate({frames_of_bytes(kRam + 64_MiB, 1_MiB)}));

  const auto kept = finish_dump(domain, guest, store, records, record, 5);

  ASSERT_TRUE(kept);
  EXPECT_EQ(*kept, 1024U - 4);
  EXPECT_THAT(memory_kept_text(*kept), HasSubstr("1020 KiB"));
  EXPECT_EQ(guest.limit_kib(), limit);
}

TEST_F(BalloonedCrashRunTest, GivesAddedMemoryBackWhenTheDumpIsDone) {
  ASSERT_TRUE(run());

  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));

  EXPECT_FALSE(guest.exists(Gfn{4_GiB >> kFrameShift}));
  EXPECT_EQ(guest.limit_kib(), limit_before);
  EXPECT_EQ(store.published[HADUMP_XS_AGENT_STATE], "save-area-returned");
  EXPECT_EQ(record.step, Step::kDone);
}

// The first frames of the save area are gone, and with them the mark that says that it is over.
TEST_F(BalloonedCrashRunTest, EndsADumpOfWhichAnAgentHasTakenAPartAway) {
  ASSERT_TRUE(run());
  const std::uint64_t over = 0;
  ASSERT_TRUE(write_guest(
      guest,
      GuestPhys{address_of(record.save_area.begin).value + offsetof(hadump_save_header, complete)},
      std::as_bytes(std::span(&over, 1))));
  int removals = 0;
  guest.on_call([&](const std::string& what) -> Result<> {
    if (what == "remove" && ++removals == 2) throw Killed{};
    return {};
  });
  ASSERT_THROW(static_cast<void>(finish_dump(domain, guest, store, records, record, 5)), Killed);
  guest.on_call(no_hook());
  record = *parse_record(to_json(records.saved.back()));
  ASSERT_FALSE(guest.exists(record.save_area.begin));
  domain.crash_again();
  for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64) guest.fill(Gfn{gfn}, mark(gfn));

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.boots, 1U);
  expect_dump_is_true();
}

TEST_F(BalloonedCrashRunTest, LeavesATargetThatTheAdminHasChanged) {
  store.target_kib = 300000;
  ASSERT_TRUE(run());
  store.target_kib = 400000;

  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));

  EXPECT_EQ(store.target_kib, 400000U);
}

}  // namespace
}  // namespace hadump
