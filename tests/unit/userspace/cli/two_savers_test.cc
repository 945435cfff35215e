// SPDX-License-Identifier: GPL-2.0-or-later
// Somebody else releases memory while it is being saved: another saver, or an admin's hand. What a
// dump says is true, whatever the order.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <random>
#include <thread>

#include "core/base/file.h"
#include "core/save/journal.h"
#include "tests/campaign/seeds.h"
#include "tests/unit/core/save/dump_claims.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class TwoAtOnce : public testing::TestWithParam<const OutputFormat*> {
 protected:
  SaveOptions options_to(const std::string& name) const {
    SaveOptions options = save_options(dir_ / name, GetParam());
    options.threads = 2;
    return options;
  }
  TemporaryDirectory dir_;
};

constexpr FrameRange block(std::uint64_t number) {
  return {Gfn{number * FakeMachine::kBlockFrames}, Gfn{(number + 1) * FakeMachine::kBlockFrames}};
}

// At every single step of the save, something goes; each kind of thing at every third.
TEST_P(TwoAtOnce, AHandAtAnyMomentCostsOnlyWhatItReleases) {
  const FrameRange one{Gfn{700}, Gfn{701}};
  int first = 0;
  for (const FrameRange& what : {block(1), block(2), block(3), one})
    for (int at = 1 + first++ % 3;; at += 3) {
      SCOPED_TRACE(at);
      FakeMachine machine(5, 1, 4);
      std::atomic<int> steps = 0;
      machine.on_step([&] {
        if (++steps == at) machine.release_by_hand(what);
      });
      const std::string name =
          "dump-" + std::to_string(what.begin.value) + "-" + std::to_string(at);
      const SaveRun run = save_here(machine, options_to(name));
      const FrameSet all = machine.old_frames();
      if (!std::filesystem::exists(dir_ / name)) {  // It had not begun.
        EXPECT_EQ(run.exit_code, kExitEarlier) << run.messages;
        continue;
      }
      expect_no_lie(claims_of(dir_ / name, machine, all, GetParam()), run.exit_code,
                    machine.by_hand());
      EXPECT_EQ(machine.violation(), "");
      EXPECT_TRUE(machine.all_back()) << run.messages;
      std::filesystem::remove(dir_ / name);
      ASSERT_FALSE(testing::Test::HasFailure()) << run.messages;
      if (steps < at) break;
    }
}

TEST_P(TwoAtOnce, ReleaseMemEndsTheSaveWithoutALie) {
  for (int at = 1;; at += 3) {
    SCOPED_TRACE(at);
    FakeMachine machine(6, 1, 4);
    std::atomic<int> steps = 0;
    machine.on_step([&] {
      if (++steps == at) machine.release_all_by_hand();
    });
    const std::string name = "dump-" + std::to_string(at);
    const SaveRun run = save_here(machine, options_to(name));
    if (steps < at) break;
    if (!std::filesystem::exists(dir_ / name)) {  // It had not begun.
      EXPECT_THAT(run.exit_code, AnyOf(kExitNothing, kExitEarlier)) << run.messages;
      continue;
    }
    expect_no_lie(claims_of(dir_ / name, machine, machine.old_frames(), GetParam()), run.exit_code,
                  machine.by_hand());
    EXPECT_EQ(machine.violation(), "");
    ASSERT_FALSE(testing::Test::HasFailure()) << run.messages;
  }
}

/// Lets threads overtake each other, differently for each seed.
void stumble(std::uint64_t seed) {
  static std::atomic<std::uint64_t> threads = 0;
  thread_local std::mt19937_64 random(++threads * 1000003 + seed);
  const auto dice = random() % 16;
  if (dice < 4) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
  if (dice < 8) std::this_thread::yield();
}

// Without the lock that would keep the second out: what is read after it was given away never
// counts. Every frame is in one of the dumps, still held, or was thrown away by hand.
TEST_P(TwoAtOnce, SaversAndHandsInAnyOrderTellNoLies) {
  std::uint64_t disturbed = 0;
  const auto [begin, end] = seeds(24);
  for (std::uint64_t seed = begin; seed < end; ++seed) {
    SCOPED_TRACE(seed);
    FakeMachine machine(seed, 1, 6);
    machine.give_everybody_a_lock();
    std::atomic<std::uint64_t> steps = 0;
    machine.on_step([&steps, seed] {
      ++steps;
      stumble(seed);
    });
    const FrameSet all = machine.old_frames();
    const std::string names[] = {"a" + std::to_string(seed), "b" + std::to_string(seed)};
    SaveRun runs[2];
    std::latch both(2);
    std::atomic<int> ended = 0;
    const auto save = [&](int i) {
      both.arrive_and_wait();
      runs[i] = save_here(machine, options_to(names[i]));
      ++ended;
    };
    std::thread savers[] = {std::thread(save, 0), std::thread(save, 1)};
    std::mt19937_64 random(seed);
    for (int i = 0; i < 3 && seed % 2 == 0; ++i) {
      const std::uint64_t moment = steps + 4 + random() % 40;
      while (steps < moment && ended < 2) std::this_thread::yield();
      const std::uint64_t first = random() % (6 * FakeMachine::kBlockFrames);
      machine.release_by_hand({Gfn{first}, Gfn{first + 1 + random() % 300}});
    }
    for (std::thread& saver : savers) saver.join();

    FrameSet found = machine.by_hand();
    found.insert(machine.held_frames());
    if (!machine.all_back()) found.insert(all.intersection(block(0)));  // in the save area
    for (int i = 0; i < 2; ++i) {
      if (!std::filesystem::exists(dir_ / names[i])) {
        // The other one had released all of it, or a part, before this one looked.
        EXPECT_THAT(runs[i].exit_code, AnyOf(kExitNothing, kExitEarlier)) << runs[i].messages;
        continue;
      }
      const DumpClaims claims = claims_of(dir_ / names[i], machine, all, GetParam());
      expect_no_lie(claims, runs[i].exit_code, all);
      found.insert(claims.good);
      disturbed += claims.complete ? 0 : 1;
    }
    EXPECT_EQ(found, all);
    EXPECT_EQ(machine.violation(), "");
    ASSERT_FALSE(testing::Test::HasFailure()) << runs[0].messages << "\n---\n" << runs[1].messages;
    for (const std::string& name : names) std::filesystem::remove(dir_ / name);
  }
  EXPECT_GE(disturbed * 6, end - begin);  // They did get into each other's way.
}

TEST_P(TwoAtOnce, TheSecondIsKeptOutAndLearnsByWhom) {
  FakeMachine machine(7, 1, 4);
  std::atomic<bool> asked = false;
  SaveRun second;
  machine.on_step([&] {
    if (!asked.exchange(true))
      second = save_here(machine, options_to("b"), kNoLimit, dir_ / "state");
  });
  const SaveRun first = save_here(machine, options_to("a"), kNoLimit, dir_ / "state");
  EXPECT_EQ(first.exit_code, kExitOk) << first.messages;
  EXPECT_EQ(second.exit_code, kExitLocked);
  EXPECT_THAT(second.messages, HasSubstr("to " + (dir_ / "a")));
  EXPECT_THAT(second.messages, HasSubstr("What to do next"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "b"));
  expect_truth({dir_ / "a"}, machine, machine.old_frames());
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "state"));
}

TEST_P(TwoAtOnce, TheSecondWaitsWhenToldSo) {
  FakeMachine machine(8, 1, 4);
  SaveOptions patient = options_to("b");
  patient.wait = true;
  SaveRun second;
  std::thread waiter;
  std::atomic<bool> begun = false;
  machine.on_step([&] {
    if (begun.exchange(true)) return;
    waiter = std::thread([&] { second = save_here(machine, patient, kNoLimit, dir_ / "state"); });
  });
  const SaveRun first = save_here(machine, options_to("a"), kNoLimit, dir_ / "state");
  waiter.join();
  EXPECT_EQ(first.exit_code, kExitOk) << first.messages;
  EXPECT_EQ(second.exit_code, kExitNothing) << second.messages;
  expect_truth({dir_ / "a"}, machine, machine.old_frames());
}

// Two processes, one of which is killed at any moment: the other one takes over.
TEST_P(TwoAtOnce, ASaverThatIsKilledKeepsNobodyOut) {
  for (std::uint64_t kill = 3; kill < 60; kill += 7) {
    SCOPED_TRACE(kill);
    FakeMachine machine(kill, 1, 4);
    const FrameSet all = machine.old_frames();
    const std::string state = dir_ / ("state" + std::to_string(kill));
    machine.kill_after(kill);
    const int first = save_in_child(machine, options_to("a"), state);
    machine.kill_after(0);
    if (first == kExitOk) break;
    ASSERT_EQ(first, FakeMachine::kKilled);
    if (machine.all_back()) break;
    const std::string name = "b" + std::to_string(kill);
    const SaveRun second = save_here(machine, options_to(name), kNoLimit, state);
    EXPECT_EQ(second.exit_code, kExitOk) << second.messages;
    expect_truth({dir_ / name}, machine, all);
    EXPECT_EQ(machine.violation(), "");
    for (const char* left : {"a", "a-incomplete", ".a.hadump-journal"})
      std::filesystem::remove(dir_ / left);
  }
}

// /var is read-only, or /var/lib/hadump is somebody's: the release interface is locked all the
// same.
TEST_P(TwoAtOnce, TheSecondIsKeptOutWhereTheLockHasNoFile) {
  ASSERT_TRUE(write_file_atomically(dir_ / "file", "", 0600));
  for (int at = 1;; at += 5) {  // Whatever the first is at.
    SCOPED_TRACE(at);
    FakeMachine machine(9, 1, 4);
    std::atomic<int> steps = 0;
    SaveRun second;
    machine.on_step([&] {
      if (++steps == at) second = save_here(machine, options_to("a"), kNoLimit, dir_ / "file");
    });
    const SaveRun first = save_here(machine, options_to("a"), kNoLimit, dir_ / "file");
    EXPECT_EQ(first.exit_code, kExitOk) << first.messages;
    EXPECT_THAT(first.messages, HasSubstr("with the lock of its interface"));
    expect_truth({dir_ / "a"}, machine, machine.old_frames());
    EXPECT_EQ(machine.violation(), "");
    if (steps < at) break;
    // At the end there may be nothing left to save.
    EXPECT_THAT(second.exit_code, AnyOf(kExitLocked, kExitNothing)) << second.messages;
    ASSERT_FALSE(testing::Test::HasFailure()) << second.messages;
    std::filesystem::remove(dir_ / "a");
  }
}

// Neither lock is common to both: the first one's files are its own all the same.
TEST_P(TwoAtOnce, ASaveThatIsGoingOnIsNotContinued) {
  ASSERT_TRUE(write_file_atomically(dir_ / "file", "", 0600));
  int refused = 0;
  for (int at = 1;; at += 5) {
    SCOPED_TRACE(at);
    FakeMachine machine(9, 1, 4);
    machine.give_everybody_a_lock();
    std::atomic<int> steps = 0;
    SaveRun second;
    machine.on_step([&] {
      if (++steps != at) return;
      SaveOptions copy = options_to("a");
      copy.release = false;
      second = save_here(machine, copy, kNoLimit, dir_ / "file");
    });
    const SaveRun first = save_here(machine, options_to("a"), kNoLimit, dir_ / "file");
    if (second.exit_code == kExitOk) {  // It was done before the first had begun, or after.
      EXPECT_TRUE(std::filesystem::exists(dir_ / "a"));
    } else {
      EXPECT_EQ(first.exit_code, kExitOk) << first.messages;
      expect_truth({dir_ / "a"}, machine, machine.old_frames());
      refused += second.exit_code == kExitLocked ? 1 : 0;
    }
    EXPECT_EQ(machine.violation(), "");
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / ""))
      if (entry.path().filename() != "file") std::filesystem::remove(entry.path());
    if (steps < at) break;
    ASSERT_FALSE(testing::Test::HasFailure()) << first.messages << "---\n" << second.messages;
  }
  EXPECT_GT(refused, 3);
}

TEST_P(TwoAtOnce, NothingIsReleasedWithoutALock) {
  ASSERT_TRUE(write_file_atomically(dir_ / "file", "", 0600));
  FakeMachine machine(9, 1, 4);
  machine.give_no_lock();
  const FrameSet held = machine.held_frames();
  const SaveRun run = save_here(machine, options_to("a"), kNoLimit, dir_ / "file");
  // Not kExitFailed, for which FAILURE_ACTION=release gives the memory up.
  EXPECT_EQ(run.exit_code, kExitShort);
  EXPECT_THAT(run.messages, HasSubstr("only under a lock"));
  EXPECT_EQ(machine.held_frames(), held);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a"));
  SaveOptions copy = options_to("a");
  copy.release = false;
  EXPECT_EQ(save_here(machine, copy, kNoLimit, dir_ / "file").exit_code, kExitOk);
  expect_truth({dir_ / "a"}, machine, machine.old_frames());
  EXPECT_EQ(machine.held_frames(), held);
  // With the file alone there is one.
  EXPECT_EQ(save_here(machine, options_to("b"), kNoLimit, dir_ / "state").exit_code, kExitOk);
}

INSTANTIATE_TEST_SUITE_P(Formats, TwoAtOnce,
                         testing::Values(find_output_format("elf"), find_output_format("xen"),
                                         find_output_format("kdump")),
                         [](const auto& format) { return std::string(format.param->name); });

}  // namespace
}  // namespace hadump
