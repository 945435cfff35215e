// SPDX-License-Identifier: GPL-2.0-or-later
// A whole save against a fake machine: what is written, what is released, and in which order,
// whatever goes wrong in between.
#include <gmock/gmock.h>

#include <cstdlib>
#include <random>
#include <string>

#include "core/base/file.h"
#include "core/save/journal.h"
#include "core/vmcore/open.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

using testing::HasSubstr;

class SaveInFormat : public testing::TestWithParam<const OutputFormat*> {};

TEST_P(SaveInFormat, WritesEveryFrameAndGivesAllMemoryBack) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", GetParam()));
  EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
  expect_truth({dir / "vmcore"}, machine, machine.old_frames());
  EXPECT_TRUE(machine.all_back());
  EXPECT_EQ(machine.violation(), "");
  EXPECT_FALSE(std::filesystem::exists(journal_path(dir / "vmcore")));
}

// Killed once, rebooted or not, continued by the same command. What the formats have in common is
// in the save, so only one of them is killed at every event; sanitized, each takes a minute.
TEST_P(SaveInFormat, SurvivesBeingKilledAtEveryEvent) {
  const char* seeds = std::getenv("HADUMP_TEST_SEEDS");
  const bool every =
      GetParam()->name == "kdump" || (seeds != nullptr && seeds == std::string("all"));
  for (std::uint64_t kill = 1;; kill += every ? 1 : 3) {
    SCOPED_TRACE(kill);
    FakeMachine machine(kill, 1, 4);
    const FrameSet all = machine.old_frames();
    const TemporaryDirectory dir;
    const SaveOptions options = save_options(dir / "vmcore", GetParam());
    machine.kill_after(kill);
    const int first = save_in_child(machine, options);
    if (first == kExitOk) break;  // There are no more events.
    ASSERT_EQ(first, FakeMachine::kKilled);
    machine.kill_after(0);
    if (kill % 2 == 0) machine.reboot();
    if (machine.all_back()) continue;  // Killed after the very last step.
    ASSERT_EQ(save_in_child(machine, options), kExitOk);
    expect_truth({dir / "vmcore"}, machine, all);
    EXPECT_TRUE(machine.all_back());
    EXPECT_EQ(machine.violation(), "");
    EXPECT_FALSE(std::filesystem::exists(dir / "vmcore-incomplete"));
    if (testing::Test::HasFailure()) break;
  }
}

void punch_random_holes(FakeMachine& machine, std::mt19937_64& random, std::uint64_t first_frame,
                        std::uint64_t frames) {
  for (std::uint64_t hole = random() % 6; hole > 0; --hole) {
    const std::uint64_t begin = first_frame + random() % (frames - first_frame);
    const std::uint64_t end = std::min(frames, begin + 1 + random() % 300);
    machine.make_hole({Gfn{begin}, Gfn{end}});
  }
}

// The invariant of the whole project, on random layouts: whatever is killed, however often, no
// frame is lost, none is released before it is durable, none twice.
TEST_P(SaveInFormat, LosesNothingOnRandomLayoutsAndRepeatedCrashes) {
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::uint64_t ram = 3 + random() % 8;
    const std::uint64_t window = 1 + random() % 2;
    FakeMachine machine(seed, window, ram);
    punch_random_holes(machine, random, window * FakeMachine::kBlockFrames,
                       ram * FakeMachine::kBlockFrames);
    const FrameSet all = machine.old_frames();
    const TemporaryDirectory dir;
    SaveOptions options = save_options(dir / "vmcore", GetParam());
    int code = FakeMachine::kKilled;
    for (int attempt = 0; attempt < 40 && code == FakeMachine::kKilled; ++attempt) {
      // Another size of portion may come from another configuration.
      options.portion_bytes = (1 + random() % 3) << 20;
      machine.kill_after(attempt < 4 ? 1 + random() % 60 : 0);
      code = save_in_child(machine, options);
      if (random() % 2 == 0) machine.reboot();
      if (machine.all_back()) code = kExitOk;
    }
    ASSERT_EQ(code, kExitOk);
    EXPECT_TRUE(machine.all_back());
    EXPECT_EQ(machine.violation(), "");
    expect_truth({dir / "vmcore"}, machine, all);
    if (testing::Test::HasFailure()) break;
  }
}

// Full at any byte: what is released is in the partial file, and the save goes on elsewhere.
TEST_P(SaveInFormat, KeepsWhatDoesNotFitAndContinuesElsewhere) {
  for (std::uint64_t capacity = 8_KiB; capacity < 7_MiB; capacity += 501 * 1024 + 17) {
    SCOPED_TRACE(capacity);
    FakeMachine machine(capacity, 1, 6);
    const FrameSet all = machine.old_frames();
    const TemporaryDirectory dir;
    const SaveRun first = save_here(machine, save_options(dir / "small", GetParam()), capacity);
    if (first.exit_code == kExitOk) break;
    EXPECT_EQ(first.exit_code, kExitTargetFull) << first.messages;
    EXPECT_THAT(first.messages, HasSubstr("What to do next"));
    FrameSet released = all;
    released.erase(machine.held_frames());
    released.erase({Gfn{0}, Gfn{FakeMachine::kBlockFrames}});
    if (!released.empty()) expect_truth({dir / "small-incomplete"}, machine, released);

    SaveOptions second = save_options(dir / "large", GetParam());
    second.with = {dir / "small-incomplete"};
    const bool began = std::filesystem::exists(journal_path(dir / "small"));
    if (!began) second.with.clear();
    const SaveRun rest = save_here(machine, second);
    EXPECT_EQ(rest.exit_code, kExitOk) << rest.messages;
    expect_truth({dir / "large"}, machine, all);
    EXPECT_TRUE(machine.all_back());
    EXPECT_EQ(machine.violation(), "");
    if (testing::Test::HasFailure()) break;
  }
}

TEST_P(SaveInFormat, ContinuesInPlaceWhenThereIsRoomAgain) {
  FakeMachine machine(3, 1, 6);
  const FrameSet all = machine.old_frames();
  const TemporaryDirectory dir;
  const SaveOptions options = save_options(dir / "vmcore", GetParam());
  ASSERT_EQ(save_here(machine, options, 2_MiB).exit_code, kExitTargetFull);
  const SaveRun second = save_here(machine, options);
  EXPECT_EQ(second.exit_code, kExitOk) << second.messages;
  EXPECT_THAT(second.messages, HasSubstr("continuing"));
  EXPECT_THAT(second.messages, testing::Not(HasSubstr("starting over")));
  expect_truth({dir / "vmcore"}, machine, all);
  EXPECT_TRUE(machine.all_back());
}

// Room for a part of six blocks: in ELF and Xen cores each page has its place, also those of zeros.
std::uint64_t small_disk(const OutputFormat* format) {
  return format == find_output_format("kdump") ? 2_MiB : 4_MiB;
}

// What was released is only in the first save's file: a save elsewhere finds it by itself, also
// after another crash.
TEST_P(SaveInFormat, FindsAnEarlierSaveElsewhere) {
  for (const bool rebooted : {false, true}) {
    FakeMachine machine(3, 1, 6);
    const FrameSet all = machine.old_frames();
    const TemporaryDirectory dir;
    const std::string state = dir / "state";
    ASSERT_EQ(save_here(machine, save_options(dir / "a", GetParam()), small_disk(GetParam()), state)
                  .exit_code,
              kExitTargetFull);
    if (rebooted) machine.reboot();
    ASSERT_EQ(save_here(machine, save_options(dir / "b", GetParam()), small_disk(GetParam()), state)
                  .exit_code,
              kExitTargetFull);
    const SaveRun last = save_here(machine, save_options(dir / "c", GetParam()), kNoLimit, state);
    EXPECT_EQ(last.exit_code, kExitOk) << last.messages;
    expect_truth({dir / "c"}, machine, all);
    EXPECT_TRUE(machine.all_back());
    EXPECT_EQ(machine.violation(), "");
    EXPECT_TRUE(std::filesystem::is_empty(state));
  }
}

// The frames of `frames` that the dump says it has lost.
FrameSet lost_in(const std::string& path, const FrameSet& frames) {
  auto dump = open_vmcore(path);
  FrameSet lost;
  std::vector<std::byte> page(kFrameSize);
  for (FrameRange range : frames.ranges())
    for (Gfn gfn = range.begin; dump && gfn < range.end; gfn = Gfn{gfn.value + 1}) {
      FrameStatus status = FrameStatus::kRead;
      EXPECT_TRUE((*dump)->read(gfn, page, {&status, 1}));
      if (status == FrameStatus::kFailed) lost.insert({gfn, Gfn{gfn.value + 1}});
    }
  EXPECT_TRUE(dump && (*dump)->layout().incomplete);
  return lost;
}

TEST_P(SaveInFormat, RefusesToPassOverWhatWasReleased) {
  FakeMachine machine(3, 1, 6);
  const TemporaryDirectory dir;
  ASSERT_EQ(
      save_here(machine, save_options(dir / "a", GetParam()), small_disk(GetParam())).exit_code,
      kExitTargetFull);
  const FrameSet held = machine.held_frames();
  FrameSet released = machine.old_frames();
  released.erase(held);
  released.erase({Gfn{0}, Gfn{FakeMachine::kBlockFrames}});
  ASSERT_FALSE(released.empty());

  SaveOptions options = save_options(dir / "b", GetParam());
  const SaveRun refused = save_here(machine, options);
  EXPECT_EQ(refused.exit_code, kExitEarlier);
  EXPECT_THAT(refused.messages, HasSubstr("--with FILE"));
  EXPECT_FALSE(std::filesystem::exists(dir / "b-incomplete"));
  EXPECT_EQ(machine.held_frames(), held);

  options.without_earlier = true;
  const SaveRun rest = save_here(machine, options);
  EXPECT_EQ(rest.exit_code, kExitIncomplete) << rest.messages;
  const FrameSet lost = lost_in(dir / "b", machine.old_frames());
  // ELF and Xen cores only say that something is missing.
  EXPECT_EQ(lost, GetParam() == find_output_format("kdump") ? released : FrameSet());
  expect_truth({dir / "b"}, machine, held);
  EXPECT_TRUE(machine.all_back());
  EXPECT_EQ(machine.violation(), "");
}

// The noted save's file was deleted, or its disk is not there.
TEST_P(SaveInFormat, RefusesWhenAnEarlierSavesFileIsGone) {
  FakeMachine machine(3, 1, 6);
  const TemporaryDirectory dir;
  const std::string state = dir / "state";
  ASSERT_EQ(save_here(machine, save_options(dir / "a", GetParam()), small_disk(GetParam()), state)
                .exit_code,
            kExitTargetFull);
  std::filesystem::rename(dir / "a-incomplete", dir / "elsewhere");
  const SaveOptions options = save_options(dir / "b", GetParam());
  EXPECT_EQ(save_here(machine, options, kNoLimit, state).exit_code, kExitEarlier);
  std::filesystem::rename(dir / "elsewhere", dir / "a-incomplete");
  EXPECT_EQ(save_here(machine, options, kNoLimit, state).exit_code, kExitOk);
  expect_truth({dir / "b"}, machine, machine.old_frames());
}

std::string format_name(const testing::TestParamInfo<const OutputFormat*>& format) {
  return std::string(format.param->name);
}
INSTANTIATE_TEST_SUITE_P(Formats, SaveInFormat,
                         testing::Values(find_output_format("elf"), find_output_format("xen"),
                                         find_output_format("kdump")),
                         format_name);

TEST(Save, StripesOverFilesAndContinuesThem) {
  for (const bool killed : {false, true}) {
    FakeMachine machine(11, 1, 8);
    const TemporaryDirectory dir;
    SaveOptions options = save_options(dir / "a", find_output_format("kdump"));
    options.to.push_back(dir / "b");
    options.portion_bytes = 2_MiB;
    if (killed) {
      machine.kill_after(25);
      ASSERT_EQ(save_in_child(machine, options), FakeMachine::kKilled);
      machine.kill_after(0);
    }
    const SaveRun run = save_here(machine, options);
    EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
    expect_truth({dir / "a", dir / "b"}, machine, machine.old_frames());
    EXPECT_TRUE(machine.all_back());
    EXPECT_EQ(machine.violation(), "");
  }
}

TEST(Save, HoldsBlocksWithUnreadableFramesUntilTheyAreGivenUp) {
  FakeMachine machine(4, 1, 4);
  const Gfn bad{2 * FakeMachine::kBlockFrames + 7};
  machine.make_unreadable(bad);
  const TemporaryDirectory dir;
  SaveOptions options = save_options(dir / "vmcore", find_output_format("elf"));
  EXPECT_EQ(save_here(machine, options).exit_code, kExitIncomplete);
  EXPECT_EQ(machine.held_frames(),
            (FrameSet{{Gfn{2 * FakeMachine::kBlockFrames}, Gfn{3 * FakeMachine::kBlockFrames}}}));
  EXPECT_TRUE(std::filesystem::exists(dir / "vmcore"));

  options.release_lost = true;
  const SaveRun second = save_here(machine, options);
  EXPECT_EQ(second.exit_code, kExitIncomplete) << second.messages;
  EXPECT_TRUE(machine.all_back());
  EXPECT_EQ(machine.violation(), "");
}

TEST(Save, SaysWhenMemoryCouldNotBeGivenBack) {
  FakeMachine machine(5, 1, 4);
  machine.refuse_releases(ErrorCode::kUnsupported);
  const TemporaryDirectory dir;
  const SaveOptions options = save_options(dir / "vmcore", find_output_format("elf"));
  EXPECT_EQ(save_here(machine, options).exit_code, kExitHeld);
  expect_truth({dir / "vmcore"}, machine, machine.old_frames());
  // Later it can.
  EXPECT_EQ(save_here(machine, options).exit_code, kExitOk);
  EXPECT_TRUE(machine.all_back());
}

TEST(Save, TriesARefusedBlockAgain) {
  FakeMachine machine(6, 1, 4);
  machine.refuse_releases(ErrorCode::kOs);
  const TemporaryDirectory dir;
  EXPECT_EQ(save_here(machine, save_options(dir / "vmcore", find_output_format("elf"))).exit_code,
            kExitOk);
  EXPECT_TRUE(machine.all_back());
}

// The module lists such a block as asked for, not as held.
TEST(Save, TriesABlockThatAnEarlierRunWasRefusedAgain) {
  FakeMachine machine(6, 1, 4);
  machine.refuse_releases(ErrorCode::kOs, 1000);
  const TemporaryDirectory dir;
  const SaveOptions options = save_options(dir / "vmcore", find_output_format("elf"));
  EXPECT_EQ(save_here(machine, options).exit_code, kExitHeld);
  EXPECT_FALSE(machine.all_back());
  machine.refuse_releases(ErrorCode::kOs, 0);
  const SaveRun second = save_here(machine, options);
  EXPECT_EQ(second.exit_code, kExitOk) << second.messages;
  EXPECT_TRUE(machine.all_back());
  EXPECT_EQ(machine.violation(), "");
}

TEST(Save, ReleasesNothingWhenToldSo) {
  FakeMachine machine(7, 1, 4);
  const FrameSet held = machine.held_frames();
  const TemporaryDirectory dir;
  SaveOptions options = save_options(dir / "vmcore", find_output_format("elf"));
  options.release = false;
  EXPECT_EQ(save_here(machine, options).exit_code, kExitOk);
  EXPECT_EQ(machine.held_frames(), held);
  // The same dump is not written again: its memory goes.
  options.release = true;
  const SaveRun second = save_here(machine, options);
  EXPECT_EQ(second.exit_code, kExitOk);
  EXPECT_THAT(second.messages, HasSubstr("already complete"));
  EXPECT_TRUE(machine.all_back());
}

TEST(Save, LeavesAnotherDumpsFileAlone) {
  FakeMachine machine(8, 1, 4);
  const TemporaryDirectory dir;
  const JournalContent other{std::string(32, 'b'),
                             "x",
                             {dir / "vmcore-incomplete"},
                             {dir / "vmcore"},
                             {{Gfn{0}, Gfn{1}}},
                             {},
                             {},
                             {},
                             {},
                             false};
  ASSERT_TRUE(Journal::create(journal_beside(dir.held("vmcore")), other));
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", find_output_format("elf")));
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.messages, HasSubstr("another unfinished dump"));
  EXPECT_EQ(*read_journal(journal_beside(dir.held("vmcore"))), other);
}

// A dump waits, but what is saved is a file: nothing is released, noted or told to the host, and a
// failure is not about held memory.
TEST(Save, LeavesTheWaitingDumpAloneWhenAFileIsSaved) {
  FakeMachine machine(8, 1, 4);
  const TemporaryDirectory dir;
  SaveOptions options = save_options(dir / "first", find_output_format("kdump"));
  options.release = false;
  ASSERT_EQ(save_here(machine, options).exit_code, kExitOk);
  const std::uint64_t told = machine.told_host();
  EXPECT_GT(told, 0U);
  const FrameSet held = machine.held_frames();

  SaveOptions convert = save_options(dir / "second", find_output_format("elf"));
  convert.vmcore = {dir / "first"};
  convert.vmcore_given = true;
  const SaveRun full = save_here(machine, convert, 1_MiB);
  EXPECT_EQ(full.exit_code, kExitTargetFull);
  EXPECT_THAT(full.messages, testing::Not(HasSubstr("released")));
  EXPECT_EQ(save_here(machine, convert).exit_code, kExitOk);
  expect_truth({dir / "second"}, machine, machine.old_frames());
  EXPECT_EQ(machine.told_host(), told);
  EXPECT_EQ(machine.held_frames(), held);
  EXPECT_FALSE(std::filesystem::exists(journal_path(dir / "second")));
}

TEST(Save, NamesADirectoryAfterTheCrash) {
  FakeMachine machine(9, 1, 4);
  const TemporaryDirectory dir;
  EXPECT_EQ(save_here(machine, save_options(dir / "", find_output_format("elf"))).exit_code,
            kExitOk);
  expect_truth({dir / "guest-20010909T014640/vmcore"}, machine, machine.old_frames());
}

TEST(Save, DoesNothingWithoutADump) {
  FakeMachine machine(10, 1, 4);
  const TemporaryDirectory dir;
  ASSERT_EQ(save_here(machine, save_options(dir / "a", find_output_format("elf"))).exit_code,
            kExitOk);
  EXPECT_EQ(save_here(machine, save_options(dir / "b", find_output_format("elf"))).exit_code,
            kExitNothing);
  EXPECT_FALSE(std::filesystem::exists(dir / "b"));
}

}  // namespace
}  // namespace hadump
