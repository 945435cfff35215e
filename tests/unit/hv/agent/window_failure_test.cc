// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/window_failure.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

#include "core/base/units.h"
#include "hv/agent/policy.h"

namespace hadump {
namespace {

using testing::HasSubstr;

constexpr WindowChoices kAll{.larger_window = true, .restart = true, .capture = true};
constexpr WindowChoices kNoWindow{.larger_window = false, .restart = true, .capture = true};

GuestProgress progress(GuestState state, const std::string& text = "") {
  GuestProgress progress;
  progress.state = state;
  progress.text = text;
  return progress;
}

WindowHistory after(unsigned failures) {
  WindowHistory history;
  for (unsigned boot = 1; boot <= failures; ++boot)
    note_boot_end(history, boot, ShutdownReason::kCrash, progress(GuestState::kWaiting));
  return history;
}

TEST(WindowFailure, OneMayBeAnAccident) {
  EXPECT_EQ(next_window_step(after(1), 1, false, OnWindowFailure::kRestart, kAll),
            WindowStep::kSameWindow);
  EXPECT_EQ(next_window_step(after(2), 2, false, OnWindowFailure::kRestart, kAll),
            WindowStep::kLargerWindow);
  EXPECT_EQ(next_window_step(after(2), 2, false, OnWindowFailure::kRestart, kNoWindow),
            WindowStep::kRestart);
  EXPECT_EQ(next_window_step(after(2), 2, false, OnWindowFailure::kCapture, kNoWindow),
            WindowStep::kCapture);
  EXPECT_EQ(next_window_step(after(2), 2, false, OnWindowFailure::kKeep, kNoWindow),
            WindowStep::kKeep);
}

TEST(WindowFailure, WhatIsNotPossibleIsNotTried) {
  const WindowHistory twice = after(2);
  EXPECT_EQ(next_window_step(twice, 2, false, OnWindowFailure::kRestart, {.capture = true}),
            WindowStep::kCapture)
      << "the guest would stay down";
  EXPECT_EQ(next_window_step(twice, 2, false, OnWindowFailure::kRestart, {}), WindowStep::kKeep);
  EXPECT_EQ(next_window_step(twice, 2, false, OnWindowFailure::kCapture, {.restart = true}),
            WindowStep::kKeep);
}

// The saver works: nothing is wrong with the window.
TEST(WindowFailure, ACrashOfAGuestThatSavesIsASecondCrash) {
  WindowHistory history;
  for (std::uint32_t boot = 1; boot <= 9; ++boot) {
    ASSERT_TRUE(note_boot_end(history, boot, ShutdownReason::kCrash,
                              progress(GuestState::kWaiting, "saving   1% of 1 GiB")));
    EXPECT_EQ(next_window_step(history, boot, false, OnWindowFailure::kRestart, kAll),
              WindowStep::kSameWindow);
  }
  EXPECT_EQ(history.failed, 0U);
  EXPECT_THAT(what_happened(history, 9), HasSubstr("boot 9 in the window crashed while the dump"));
  EXPECT_EQ(next_window_step(history, 9, true, OnWindowFailure::kRestart, kAll),
            WindowStep::kRestart)
      << "but there is a limit";
}

TEST(WindowFailure, ABootIsJudgedOnce) {
  WindowHistory history;
  EXPECT_TRUE(note_boot_end(history, 1, ShutdownReason::kReboot, {}));
  EXPECT_FALSE(note_boot_end(history, 1, ShutdownReason::kCrash, {}));
  EXPECT_EQ(history.failed, 1U);
  EXPECT_EQ(what_happened(history, 1),
            "boot 1 in the window rebooted before the dump was being saved");
}

// hadumpd saw it, and was restarted before the guest crashed.
TEST(WindowFailure, ASaverThatWasSeenCounts) {
  WindowHistory history;
  history.saving = 2;
  EXPECT_TRUE(note_boot_end(history, 2, ShutdownReason::kCrash, {}));
  EXPECT_EQ(history.failed, 0U);
  EXPECT_TRUE(note_boot_end(history, 3, ShutdownReason::kCrash, {}));
  EXPECT_EQ(history.failed, 1U) << "an earlier boot's does not";
}

// It has its chance once; a saver that has begun there is one that saves.
TEST(WindowFailure, ALargerWindowIsTriedInVainWhenItsBootFails) {
  WindowHistory history = after(2);
  history.grown_from = 256_MiB;
  WindowHistory saves = history;
  EXPECT_TRUE(history.tried.empty()) << "it is only being tried";
  note_boot_end(history, 3, ShutdownReason::kCrash, {});
  EXPECT_TRUE(history.has_tried(WindowStep::kLargerWindow));
  EXPECT_EQ(next_window_step(history, 3, false, OnWindowFailure::kRestart, kAll),
            WindowStep::kRestart);
  note_boot_end(saves, 3, ShutdownReason::kCrash, progress(GuestState::kSaving));
  EXPECT_EQ(next_window_step(saves, 3, false, OnWindowFailure::kRestart, kAll),
            WindowStep::kSameWindow);
}

TEST(WindowFailure, WhatALargerWindowIsIsSaid) {
  DomainRecord record;
  EXPECT_EQ(how_it_grew(record), "");
  record.window_bytes = 512_MiB;
  record.window.grown_from = 256_MiB;
  EXPECT_EQ(how_it_grew(record), "a window of 512 MiB instead of 256 MiB was booted then");
}

// What comes of the guest, and of what is possible, is anything; every step but one fails.
TEST(WindowFailure, AlwaysEndsAndTriesNothingForEver) {
  std::mt19937 random(1);
  const auto flip = [&] { return random() % 2 == 0; };
  for (int run = 0; run < 2000; ++run) {
    WindowHistory history;
    const auto policy = static_cast<OnWindowFailure>(1 + random() % 3);
    const unsigned limit = random() % 8;
    std::map<WindowStep, unsigned> taken;
    WindowStep step = WindowStep::kSameWindow;
    std::uint32_t boot = 0;
    unsigned steps = 0;
    while (step != WindowStep::kKeep && ++steps < 100) {
      if (step == WindowStep::kSameWindow || step == WindowStep::kLargerWindow) ++boot;
      const bool saves = random() % 4 == 0;
      note_boot_end(history, boot, ShutdownReason::kCrash,
                    progress(saves ? GuestState::kSaving : GuestState::kNone));
      const WindowChoices choices{flip(), flip(), flip()};
      step = next_window_step(history, boot, boot > limit, policy, choices);
      ++taken[step];
      if (step == WindowStep::kLargerWindow) {
        EXPECT_TRUE(choices.larger_window);
        // Where it can be booted at all, its boot is judged.
        if (flip()) history.grown_from = 256_MiB;
      }
      if (step == WindowStep::kRestart) {
        EXPECT_TRUE(choices.restart);
      }
      if (step == WindowStep::kCapture) {
        EXPECT_TRUE(choices.capture);
      }
      if (policy == OnWindowFailure::kKeep) {
        EXPECT_TRUE(step != WindowStep::kRestart && step != WindowStep::kCapture);
      }
      if (policy == OnWindowFailure::kCapture) {
        EXPECT_NE(step, WindowStep::kRestart);
      }
      const bool grew = step == WindowStep::kLargerWindow && history.grown_from != 0;
      if (step != WindowStep::kSameWindow && !grew) history.note_tried(step);
    }
    EXPECT_EQ(step, WindowStep::kKeep);
    EXPECT_LE(taken[WindowStep::kSameWindow], limit + 1);
    for (WindowStep once : {WindowStep::kLargerWindow, WindowStep::kRestart, WindowStep::kCapture})
      EXPECT_LE(taken[once], 1U);
  }
}

TEST(WindowFailure, TheConfigurationHasTheDefault) {
  DomainConfig config;
  for (auto [action, policy] : {std::pair{ShutdownAction::kRestart, OnWindowFailure::kRestart},
                                {ShutdownAction::kRenameRestart, OnWindowFailure::kRestart},
                                {ShutdownAction::kDestroy, OnWindowFailure::kKeep},
                                {ShutdownAction::kPreserve, OnWindowFailure::kKeep}}) {
    config.on_reboot = action;
    EXPECT_EQ(resolved(OnWindowFailure::kByConfiguration, config), policy);
    EXPECT_EQ(resolved(OnWindowFailure::kCapture, config), OnWindowFailure::kCapture);
  }
}

TEST(WindowFailure, OnlyABootWithoutAnySignOfLifeHangs) {
  DomainRecord record;
  record.step = Step::kStarted;
  record.boots = 2;
  record.window.had_module = true;
  EXPECT_TRUE(may_hang(record, {}));
  for (GuestState state :
       {GuestState::kRegistered, GuestState::kWaiting, GuestState::kSaving, GuestState::kDone})
    EXPECT_FALSE(may_hang(record, progress(state))) << "its userspace is up";
  EXPECT_FALSE(may_hang(record, progress(GuestState::kNone, "checking")));
  DomainRecord other = record;
  other.window.saving = 2;
  EXPECT_FALSE(may_hang(other, {})) << "xenstored has lost it, perhaps";
  other = record;
  other.window.had_module = false;
  EXPECT_FALSE(may_hang(other, {})) << "it would never say anything";
  other = record;
  other.dump_over = true;
  EXPECT_FALSE(may_hang(other, {}));
  other = record;
  other.step = Step::kDone;
  EXPECT_FALSE(may_hang(other, {}));
}

TEST(WindowFailure, IsAPolicy) {
  PolicyTable table;
  ASSERT_TRUE(table.add("default", "on-window-failure", "capture"));
  ASSERT_TRUE(table.add("default", "window-boot-timeout", "90"));
  EXPECT_EQ(table.for_domain("x").on_window_failure, OnWindowFailure::kCapture);
  EXPECT_EQ(table.for_domain("x").window_boot_timeout, std::chrono::seconds(90));
  const auto bad = table.add("default", "on-window-failure", "reboot");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().what(), HasSubstr("'reboot' is not restart, capture or keep"));
}

// As the release before wrote it, and as this one does.
TEST(WindowFailure, IsPartOfTheRecord) {
  DomainRecord record;
  record.window = after(2);
  record.window.had_module = true;
  record.window.stopped = 2;
  record.window.grown_from = 256_MiB;
  record.window.note_tried(WindowStep::kRestart);
  record.window.note_tried(WindowStep::kRestart);
  std::string text = to_json(record);
  const auto back = parse_record(text);
  ASSERT_TRUE(back) << back.error().what();
  EXPECT_EQ(back->window, record.window);
  EXPECT_EQ(back->window.tried.size(), 1U);

  const std::size_t begin = text.find("  \"window\": {");
  const std::size_t end = text.find("  \"error\"");
  ASSERT_LT(begin, end);
  text.erase(begin, end - begin);
  const auto old = parse_record(text);
  ASSERT_TRUE(old) << old.error().what();
  EXPECT_EQ(old->window, WindowHistory{});
}

}  // namespace
}  // namespace hadump
