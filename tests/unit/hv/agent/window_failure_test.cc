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

constexpr WindowChoices kRescue{.capture = true, .rescue_boot = true};

TEST(WindowFailure, ARescueBootFollowsTheLargerWindow) {
  const WindowChoices all{
      .larger_window = true, .restart = true, .capture = true, .rescue_boot = true};
  EXPECT_EQ(next_window_step(after(2), 2, false, OnWindowFailure::kRestart, all),
            WindowStep::kLargerWindow);
  EXPECT_EQ(next_window_step(after(2), 2, false, OnWindowFailure::kKeep, kRescue),
            WindowStep::kRescueBoot);
  EXPECT_EQ(next_window_step(after(2), 2, true, OnWindowFailure::kCapture, kRescue),
            WindowStep::kCapture)
      << "within the limit";
  WindowHistory grown = after(2);
  grown.grown_from = 256_MiB;
  note_boot_end(grown, 3, ShutdownReason::kCrash, {});
  EXPECT_EQ(next_window_step(grown, 3, false, OnWindowFailure::kRestart, all),
            WindowStep::kRescueBoot);
  grown.note_tried(WindowStep::kSameWindow);
  EXPECT_EQ(next_window_step(grown, 3, false, OnWindowFailure::kRestart, all), WindowStep::kRestart)
      << "it cannot be booted any more";
}

TEST(WindowFailure, ARescueBootThatDoesNotSaveIsTheOnlyOne) {
  WindowHistory history = after(2);
  history.rescue_since = 3;
  WindowHistory saves = history;
  EXPECT_TRUE(history.tried.empty());
  note_boot_end(history, 3, ShutdownReason::kCrash, progress(GuestState::kWaiting));
  EXPECT_TRUE(history.has_tried(WindowStep::kRescueBoot));
  EXPECT_EQ(what_happened(history, 3),
            "boot 3 in the window, a rescue boot, crashed before the dump was being saved");
  EXPECT_EQ(what_happened(history, 2),
            "boot 2 in the window crashed before the dump was being saved");
  EXPECT_EQ(next_window_step(history, 3, false, OnWindowFailure::kCapture, kRescue),
            WindowStep::kCapture);
  // One that has begun to save goes on with that, in the window that failed before.
  saves.note_tried(WindowStep::kLargerWindow);
  note_boot_end(saves, 3, ShutdownReason::kCrash, progress(GuestState::kSaving));
  EXPECT_EQ(next_window_step(saves, 3, false, OnWindowFailure::kCapture, kRescue),
            WindowStep::kRescueBoot);
  EXPECT_EQ(next_window_step(saves, 3, true, OnWindowFailure::kCapture, kRescue),
            WindowStep::kCapture);
}

// With the default limit there is no other after the larger window.
TEST(WindowFailure, TheLastBootIsARescueBoot) {
  WindowChoices last = kRescue;
  last.last_boot = true;
  const WindowHistory once = after(1);
  for (WindowStep step : {WindowStep::kSameWindow, WindowStep::kLargerWindow}) {
    EXPECT_TRUE(is_rescue_boot(step, once, last));
    EXPECT_FALSE(is_rescue_boot(step, once, kRescue));
    EXPECT_FALSE(is_rescue_boot(step, once, {.last_boot = true}));
  }
  EXPECT_TRUE(is_rescue_boot(WindowStep::kRescueBoot, once, kRescue));
  EXPECT_FALSE(is_rescue_boot(WindowStep::kCapture, once, last));
  WindowHistory tried = once;
  tried.note_tried(WindowStep::kRescueBoot);
  EXPECT_FALSE(is_rescue_boot(WindowStep::kSameWindow, tried, last));
}

TEST(WindowFailure, WhatALargerWindowIsIsSaid) {
  DomainRecord record;
  EXPECT_EQ(what_followed(record), "");
  record.window_bytes = 512_MiB;
  record.window.grown_from = 256_MiB;
  EXPECT_EQ(what_followed(record), "a window of 512 MiB instead of 256 MiB was booted then");
  record.boots = 3;
  record.window.judged = 2;
  record.window.rescue_since = 3;
  EXPECT_EQ(what_followed(record),
            "a window of 512 MiB instead of 256 MiB was booted then; a rescue boot was begun then");
  record.window.grown_from = 0;
  EXPECT_EQ(what_followed(record), "a rescue boot was begun then");
  record.window.judged = 3;
  EXPECT_EQ(what_followed(record), "") << "it has failed";
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
      if (step == WindowStep::kSameWindow || step == WindowStep::kLargerWindow ||
          step == WindowStep::kRescueBoot)
        ++boot;
      const bool saves = random() % 4 == 0;
      note_boot_end(history, boot, ShutdownReason::kCrash,
                    progress(saves ? GuestState::kSaving : GuestState::kNone));
      const WindowChoices choices{flip(), flip(), flip(), flip(), boot == limit};
      step = next_window_step(history, boot, boot > limit, policy, choices);
      ++taken[step];
      if (step == WindowStep::kLargerWindow) {
        EXPECT_TRUE(choices.larger_window);
        // Where it can be booted at all, its boot is judged.
        if (flip()) history.grown_from = 256_MiB;
      }
      const bool rescues = is_rescue_boot(step, history, choices);
      if (rescues) {
        EXPECT_TRUE(choices.rescue_boot);
        if (flip() && history.rescue_since == 0) history.rescue_since = boot + 1;
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
      const bool saves_first = step == WindowStep::kRescueBoot && history.rescue_since != 0;
      if (step != WindowStep::kSameWindow && !grew && !saves_first) history.note_tried(step);
    }
    EXPECT_EQ(step, WindowStep::kKeep);
    EXPECT_LE(taken[WindowStep::kSameWindow] + taken[WindowStep::kRescueBoot], limit + 1);
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
  record.window.can_rescue = true;
  record.window.rescue_since = 2;
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
