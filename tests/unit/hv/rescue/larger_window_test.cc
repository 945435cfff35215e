// SPDX-License-Identifier: GPL-2.0-or-later
// A guest whose boots in the window have failed is booted in a larger one: its dump moves first.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/waiting_memory.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr std::uint64_t kLarger = 256_MiB;
constexpr std::byte kGarbage{0xff};

class FailedWindowTest : public CrashRunTest {
 protected:
  void fail_in_the_window() {
    ASSERT_TRUE(run());
    ASSERT_EQ(record.window_bytes, kWindow);
    small = record.save_area;
    the_guest_dies();
    policy.larger_window_bytes = kLarger;
    history.clear();
  }
  /// Whatever it may use has other content then.
  void the_guest_dies() {
    for (const MapEntry& entry : domain.map()) {
      if (entry.type != MapType::kRam) continue;
      const FrameRange ram = frames_of_bytes(entry.address, entry.bytes);
      for (std::uint64_t gfn = round_up(ram.begin.value, 64); gfn < ram.end.value; gfn += 64)
        if (guest.exists(Gfn{gfn})) guest.fill(Gfn{gfn}, kGarbage);
    }
    domain.crash_again();
  }
  /// Every frame of the first crash is where the dump says that it is.
  void expect_all_of_it() {
    const auto saved = read_snapshot(guest, record.save_area, /*check_low=*/true);
    ASSERT_TRUE(saved) << saved.error().what();
    std::uint64_t wrong = 0;
    for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64)
      if (content_in(*saved, Gfn{gfn}) !=
          (holes.contains(Gfn{gfn}) ? -1 : std::to_integer<int>(mark(gfn))))
        ++wrong;
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(guest.mappings(), 0);
    EXPECT_EQ(guest.leaked_frames(), 0U);
  }
  /// The dump is in the small save area, and there is nothing else.
  void expect_as_before() {
    EXPECT_EQ(record.save_area, small);
    EXPECT_EQ(record.window_bytes, kWindow);
    EXPECT_EQ(record.step, Step::kStarted);
    EXPECT_EQ(record.boots, 1U);
    EXPECT_TRUE(record.other_area.empty());
    EXPECT_EQ(guest.limit_kib(), limit_before + (small.bytes() >> 10));
    EXPECT_FALSE(guest.exists(small.end));
    EXPECT_EQ(domain.pauses(), 0);
    EXPECT_THAT(history, testing::Not(Contains("reset")));
    expect_all_of_it();
  }
  static int content_of(const InMemoryGuest& guest, GuestPhys where) {
    return std::to_integer<int>(guest.content(frame_of(where))[0]);
  }
  int content_in(const SavedSnapshot& saved, Gfn gfn) const {
    const std::uint64_t address = address_of(gfn).value;
    Elf64_Ehdr header;
    std::memcpy(&header, saved.elf_header.data(), sizeof(header));
    for (unsigned i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr one;
      std::memcpy(&one, saved.elf_header.data() + header.e_phoff + i * sizeof(one), sizeof(one));
      if (one.p_type == PT_LOAD && address >= one.p_paddr && address < one.p_paddr + one.p_filesz)
        return content_of(guest, GuestPhys{one.p_offset + address - one.p_paddr});
    }
    return -1;
  }

  FrameRange small;  ///< the first save area
  FrameSet holes;    ///< of the kernel that crashed first
  const std::uint64_t frames_before = *guest.total_frames();
};

class LargerWindowTest : public FailedWindowTest {
 protected:
  LargerWindowTest() { fail_in_the_window(); }
};

TEST_F(LargerWindowTest, MovesTheDumpAndBootsTheGuest) {
  const DumpId id = record.dump_id;
  const auto before = read_snapshot(guest, small, false);

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.step, Step::kStarted);
  EXPECT_EQ(record.window_bytes, kLarger);
  EXPECT_EQ(record.held_bytes, kRam - 1_MiB - kLarger);
  EXPECT_EQ(record.boots, 2U);
  EXPECT_EQ(record.window.grown_from, kWindow);
  EXPECT_FALSE(record.save_area.overlaps(small));
  EXPECT_FALSE(guest.exists(small.begin)) << "given back";
  EXPECT_FALSE(guest.exists(Gfn{small.end.value - 1}));
  EXPECT_EQ(guest.limit_kib(), limit_before + (record.save_area.bytes() >> 10));
  the_guest_dies();  // and has used all of the larger window
  EXPECT_EQ(guest.content(frame_of(GuestPhys{kLarger - 64 * kFrameSize}))[0], kGarbage);
  expect_all_of_it();
  const auto after = read_snapshot(guest, record.save_area, true);
  EXPECT_EQ(after->node.dump_id, id);
  EXPECT_EQ(after->node.boots, 2U);
  EXPECT_EQ(after->node.crash_time, before->node.crash_time);
  EXPECT_EQ(after->cpus.context, before->cpus.context);
  EXPECT_EQ(after->survey.records().size(), before->survey.records().size());

  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_EQ(guest.limit_kib(), limit_before);
  EXPECT_FALSE(guest.exists(small.end));
  EXPECT_EQ(guest.leaked_frames(), 0U);
}

// As for any other boot of the dump; and the host can read it where it is now.
TEST_F(LargerWindowTest, ALaterCrashFindsTheDumpThere) {
  ASSERT_TRUE(run());
  the_guest_dies();
  policy.larger_window_bytes = 0;

  ASSERT_TRUE(run());

  EXPECT_EQ(record.boots, 3U);
  EXPECT_EQ(record.window_bytes, kLarger);
  expect_all_of_it();
  const auto waiting = look_at_waiting_memory(guest, config, record);
  ASSERT_TRUE(waiting) << waiting.error().what();
  EXPECT_TRUE(waiting->lacks.empty());
}

TEST_F(LargerWindowTest, GrowsTwice) {
  ASSERT_TRUE(run());
  the_guest_dies();
  policy.larger_window_bytes = 384_MiB;

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.window_bytes, 384_MiB);
  the_guest_dies();
  expect_all_of_it();
  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_EQ(*guest.total_frames(), frames_before);
}

TEST_F(LargerWindowTest, LeavesTheDumpWhereItIsWithoutRoom) {
  guest.set_free_frames(kLarger >> kFrameShift);  // and none for the rest of a save area

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(done.error().what(), HasSubstr("for the larger save area"));
  expect_as_before();
  policy.larger_window_bytes = 0;
  ASSERT_TRUE(run()) << "in the same window it can be booted as ever";
  expect_all_of_it();
}

TEST_F(LargerWindowTest, TakesNoMoreThanTheHostAllowsForBothSaveAreas) {
  policy.most_added_bytes = small.bytes() + kLarger;
  history.clear();

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(done.error().what(), HasSubstr("max-save-memory"));
  expect_as_before();
}

TEST_F(LargerWindowTest, RefusesWhatIsNoLargerOrLeavesNothingHeld) {
  for (const std::uint64_t bytes : {kWindow, 512_MiB, 1_GiB, kLarger + 1_MiB}) {
    policy.larger_window_bytes = bytes;
    history.clear();
    EXPECT_FALSE(run()) << bytes;
    expect_as_before();
  }
}

// What a saver has given back is the next kernel's, and no part of the dump any more.
TEST_F(LargerWindowTest, RefusesWhenAPartWasReleased) {
  const auto saved = read_snapshot(guest, small, false);
  const std::uint8_t released = HADUMP_BLOCK_RELEASED;
  const GuestPhys table = saved->node.block_table.address;
  ASSERT_TRUE(write_guest(guest, {table.value + 2}, std::as_bytes(std::span(&released, 1))));
  history.clear();

  auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("released already"));
  EXPECT_EQ(record.save_area, small);
  // In an earlier boot, too.
  policy.larger_window_bytes = 0;
  ASSERT_TRUE(run());
  domain.crash_again();
  policy.larger_window_bytes = kLarger;
  done = run();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("released already"));
}

// It is the guest's own memory, reserved for one window.
TEST_F(FailedWindowTest, ARegisteredSaveAreaStaysWhereItIs) {
  store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
  fail_in_the_window();
  ASSERT_EQ(record.mode, SaveMode::kRegistered);

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(done.error().what(), HasSubstr("the guest's own memory"));
  EXPECT_EQ(record.save_area, small);
  EXPECT_THAT(history, testing::Not(Contains("reset")));
}

TEST_F(LargerWindowTest, NeverMovesADamagedDump) {
  guest.fill(Gfn{small.end.value - 1024}, std::byte{0xee});  // inside LOW
  history.clear();

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("checksum"));
  EXPECT_EQ(record.save_area, small);
  EXPECT_FALSE(guest.exists(small.end));
}

// The copy is read back before it counts, and once more as whoever boots it reads it.
TEST_F(LargerWindowTest, ACopyThatIsNotTrueNeverCounts) {
  for (const char* when : {"copy", "verify"}) {
    reached = [&](const std::string& step) {
      if (step == when) guest.fill(Gfn{record.other_area.end.value - 1024}, std::byte{0xee});
    };
    history.clear();

    const auto done = run();

    ASSERT_FALSE(done) << when;
    EXPECT_EQ(done.error().code(), ErrorCode::kBadData);
    EXPECT_THAT(done.error().what(), HasSubstr("the larger save area"));
    expect_as_before();
  }
}

// Ballooned out when the first kernel crashed: the next one must find RAM there.
TEST_F(FailedWindowTest, FillsTheHolesOfTheLargerWindow) {
  holes = {frames_of_bytes(192_MiB, 1_MiB), frames_of_bytes(300_MiB, 1_MiB)};
  for (FrameRange hole : holes.ranges()) ASSERT_TRUE(guest.remove(hole));
  const std::uint64_t leaked = guest.leaked_frames();
  fail_in_the_window();
  ASSERT_TRUE(guest.set_limit_kib(guest.limit_kib()));

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_TRUE(guest.exists(holes.ranges().front().begin));
  EXPECT_FALSE(guest.exists(holes.ranges().back().begin));
  the_guest_dies();
  expect_all_of_it();
  EXPECT_EQ(guest.leaked_frames(), leaked);
}

// It is in nobody's way, and goes with the dump at the latest.
TEST_F(LargerWindowTest, ASmallSaveAreaThatCannotBeTakenAwayIsNoReasonNotToBoot) {
  guest.fail_next("remove");

  ASSERT_TRUE(run());

  EXPECT_EQ(record.other_area, small);
  EXPECT_THAT(warnings, Contains(HasSubstr("of added memory away")));
  expect_all_of_it();
  DomainRecord found = parse_record(to_json(record)).value();
  EXPECT_EQ(found.other_area, small);
  ASSERT_TRUE(finish_dump(domain, guest, store, records, found, 5));
  EXPECT_FALSE(guest.exists(small.begin));
  EXPECT_EQ(guest.limit_kib(), limit_before);
  EXPECT_EQ(*guest.total_frames(), frames_before);
}

// A record that was written, though its store says that it was not: nobody knows which of the two
// save areas the next agent will find in it.
TEST_F(LargerWindowTest, NothingIsTakenAwayWhileNobodyKnowsWhatIsWrittenDown) {
  records.deny_next(Step::kSnapshotComplete);
  bool dead = false;
  records.on_call([&](const std::string&) -> Result<> {
    if (records.saved.back().step != Step::kSnapshotComplete) return {};
    dead = true;
    return fail_os(EIO, "save");
  });
  ASSERT_FALSE(run());
  ASSERT_TRUE(dead);
  records.on_call(no_hook());
  record = records.saved.back();
  ASSERT_NE(record.save_area, small);

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_FALSE(guest.exists(small.begin));
  the_guest_dies();
  expect_all_of_it();
}

TEST_F(LargerWindowTest, StaysWhereItIsWhenTheStepCannotBeWrittenDown) {
  records.deny_next(Step::kSnapshotComplete);
  history.clear();

  ASSERT_FALSE(run());

  expect_as_before();
  EXPECT_EQ(records.saved.back().save_area, small);
}

// The heart of the promise: killed before any call or after any step, there is all of the dump, in
// the one save area or in the other, and the next agent clears up or goes on.
TEST_F(LargerWindowTest, KilledAnywhereTheNextAgentFindsAllOfIt) {
  int calls = 0;
  int kill_at = 0;
  const CallHook hook = [&](const std::string& what) -> Result<> {
    if (what == "map" || what == "kinds") return {};  // hundreds, in threads, and nothing changes
    if (++calls == kill_at) throw Killed{};
    return {};
  };
  guest.on_call(hook);
  domain.on_call(hook);
  records.on_call(hook);
  links.on_call(hook);
  reached = [&](const std::string& step) { static_cast<void>(hook(step)); };  // in the middle, too
  for (int k = 1;; ++k) {
    SCOPED_TRACE(testing::Message() << "killed before call " << k);
    calls = 0;
    kill_at = k;
    bool killed = false;
    try {
      const auto done = run();
      ASSERT_TRUE(done) << done.error().what();
    } catch (const Killed&) {
      killed = true;
    }
    kill_at = 0;
    record = parse_record(to_json(records.saved.back())).value();
    expect_all_of_it();
    ASSERT_FALSE(testing::Test::HasFailure());
    const DomainStatus now = *domain.status();
    if (!killed || (!now.shutdown && !now.paused)) break;
    if (record.window_bytes != kWindow) continue;
    policy.most_added_bytes = 0;  // the next agent cannot move it, and only clears up
    EXPECT_FALSE(run());
    expect_as_before();
    policy.most_added_bytes = UINT64_MAX;
  }
  EXPECT_EQ(record.window_bytes, kLarger);
  EXPECT_EQ(record.boots, 2U);
  the_guest_dies();
  expect_all_of_it();
}

}  // namespace
}  // namespace hadump
