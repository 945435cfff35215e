// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_mode.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <fstream>

#include "hv/capture/capture_facts.h"
#include "hv/capture/discard.h"
#include "hv/domain/pv_guest.h"
#include "tests/unit/hv/capture/capture_mode_fixture.h"

namespace hadump {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// The guest of the other modes, but alive.
class LiveModeTest : public testing::Test, public CapturedGuest {
 protected:
  LiveModeTest() {
    EXPECT_TRUE(host_.at(domid_).domain.pause());
    EXPECT_TRUE(host_.at(domid_).domain.reset({}));
    EXPECT_TRUE(host_.at(domid_).domain.start());
    host_.at(domid_).history.clear();
    record_.order.mode = "live";
    record_.domain_kept = false;
    log().grant(Gfn{kDataFrame + 7});
  }
  InMemoryDirtyLog& log() { return host_.at(domid_).dirty_log; }
  InMemoryCpuShare& share() { return host_.at(domid_).cpu_share; }
  InMemoryDomain& domain() { return host_.at(domid_).domain; }
  /// Both parts of it, as hadumpd runs them.
  Result<> run_both() {
    if (auto done = run(); !done) return done;
    EXPECT_EQ(record_.state, CaptureState::kWriting);
    return run();
  }
  void expect_nothing_left() {
    EXPECT_THAT(files(), IsEmpty());
    EXPECT_FALSE(load_facts(directory_ / "state", record_.name));
    EXPECT_EQ(domain().pauses(), 0);
    EXPECT_FALSE(log().is_on());
    EXPECT_EQ(memory().mappings(), 0);
  }
};

TEST_F(LiveModeTest, WritesEveryPageAsItWasWhenItWasStopped) {
  passed_ = [this](std::string_view step) {
    if (step == "paused") log().backend_writes(Gfn{kDataFrame + 7}, 0, 4711);
    if (step == "paused") log().guest_writes(Gfn{kDataFrame + 8}, 0, 4712);
  };
  auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record_.state, CaptureState::kWriting);
  EXPECT_THAT(host_.at(domid_).history, ElementsAre("start_log", "pause", "unpause", "stop_log"));
  log().guest_writes(Gfn{kDataFrame}, 0, 1);  // the guest goes on
  done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record_.state, CaptureState::kWritten);
  EXPECT_THAT(files(), ElementsAre("dump", "dump-dmesg.txt", "dump-metadata.json"));
  EXPECT_FALSE(load_facts(directory_ / "state", record_.name));
  memory().fill(Gfn{kDataFrame}, std::byte{0x77});  // as it was
  expect_dump_equals_memory(record_.order.to);
}

TEST_F(LiveModeTest, SaysWhatInstantItIsOf) {
  ASSERT_TRUE(run_both());
  EXPECT_THAT(infos_, Contains(HasSubstr("the domain was stopped for")));
  EXPECT_GT(record_.stop_us, 0U);
  const Json header = metadata()["header"];
  EXPECT_EQ(header["mode"], "live");
  EXPECT_EQ(header["domain"]["shutdown_reason"], nullptr);
  EXPECT_EQ(header["panic"], nullptr) << "it lives, whatever is in its log";
  EXPECT_EQ(header["kernel"]["release"], "6.1.0-test");
  EXPECT_EQ(header["vcpus"].size(), 2U);
  const Json live = header["live"];
  EXPECT_EQ(live["instant_ms"], 1700000009000);
  EXPECT_EQ(live["stop_us"], record_.stop_us);
  EXPECT_EQ(live["granted_bytes"], kFrameSize);
  EXPECT_EQ(live["passes"][0]["bytes"], kFrames << kFrameShift);
  EXPECT_EQ(live["if_busy"], "stop-longer");
  EXPECT_EQ(live["throttled"], nullptr);
  EXPECT_EQ(metadata()["trailer"]["complete"], true);
}

TEST_F(LiveModeTest, LevelsAreOfTheInstant) {
  record_.order.dump_level = std::to_string(kFreeLevel);
  ASSERT_TRUE(run_both());
  EXPECT_EQ(metadata()["trailer"]["frames_left_out"], 8);
}

TEST_F(LiveModeTest, RefusesWithTheReason) {
  free_bytes_ = 2 * (kFrames << kFrameShift) - 1;
  auto done = run();
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(done.error().what(), HasSubstr("256 MiB together"));
  expect_nothing_left();
  free_bytes_ = 1_GiB;

  ASSERT_TRUE(domain().pause());
  EXPECT_THAT(run().error().what(), HasSubstr("is paused"));
  ASSERT_TRUE(domain().unpause());

  log().set_in_use();
  EXPECT_EQ(run().error().code(), ErrorCode::kBusy);
  expect_nothing_left();

  EXPECT_EQ(record_.state, CaptureState::kExamining) << "nothing is left to repair";
  record_.order.if_busy = "throttle";
  share().set_unsupported();
  EXPECT_EQ(run().error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(files(), IsEmpty());
  record_.order.if_busy = "stop-longer";

  config_.kind = &kPvGuest;
  EXPECT_EQ(run().error().code(), ErrorCode::kUnsupported);
  ASSERT_TRUE(host_.crash(domid_));
  EXPECT_THAT(run().error().what(), HasSubstr("--mode copy"));
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(LiveModeTest, OverwritesNothing) {
  for (const char* name : {"dump", "dump-image", "dump-metadata.json"}) {
    std::ofstream(directory_ / name) << "an admin's";
    CaptureRecord record = record_;
    const auto done = run(record).value();
    ASSERT_FALSE(done) << name;
    EXPECT_EQ(read_text_file(directory_ / name, 100).value(), "an admin's") << name;
    std::filesystem::remove(directory_ / name);
    EXPECT_THAT(files(), IsEmpty()) << name;
  }
}

// A crash must not wait for the dump of how it was before.
TEST_F(LiveModeTest, ACrashMeanwhileEndsIt) {
  passed_ = [this](std::string_view step) {
    clock_ += std::chrono::seconds(1);
    if (step == "paused") domain().crash_again();
  };
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
  expect_nothing_left();
}

// Each note, and each step that no note tells of, is where hadumpd can be killed and know it.
TEST_F(LiveModeTest, AKillBeforeTheInstantIsKeptLeavesNothing) {
  std::string kill_step;
  bool dead = false;
  const auto hook = [&](const std::string&) -> Result<> {
    return dead ? Result<>(fail(ErrorCode::kOs, "killed")) : Result<>();
  };
  passed_ = [&](std::string_view step) {
    if (step != kill_step) return;
    dead = true;
    throw Killed{};
  };
  domain().on_call(hook);
  log().on_call(hook);
  for (const char* place : {"1", "2", "paused", "copied", "resumed", "3", "4"}) {
    SCOPED_TRACE(place);
    const bool is_note = place[1] == 0;
    kill_at_note_ = is_note ? static_cast<std::size_t>(place[0] - '0') : 0;
    kill_step = place;
    noted_.clear();
    record_.order.to = directory_ / "in/";
    CaptureRecord record = record_;
    // A throw passes through what a signal does not.
    const auto at_note = [&] { dead = true; };
    on_kill_ = at_note;
    ASSERT_FALSE(run(record)) << "it is killed";
    dead = false;
    kill_at_note_ = 0;
    kill_step.clear();
    record = noted_.back();
    EXPECT_TRUE(record.state == CaptureState::kTracking || record.state == CaptureState::kStopping);
    const auto done = run(record).value();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), ErrorCode::kCancelled);
    EXPECT_THAT(done.error().what(), HasSubstr("is lost"));
    std::filesystem::remove(directory_ / "in");
    expect_nothing_left();
  }
}

// It writes to more than a stop's buffer has room for, 8192 frames, whenever it is looked at.
TEST_F(LiveModeTest, AThrottledOneIsNotedAndRepaired) {
  share().admin_sets(80);
  record_.order.if_busy = "throttle";
  bool is_slow = false;
  const auto busy = [&](const std::string& what) -> Result<> {
    if (what == "take_log" && !is_slow)
      for (std::uint64_t gfn = kDataFrame; gfn < kDataFrame + 9000; ++gfn)
        log().guest_writes(Gfn{gfn}, 0, gfn);
    clock_ += std::chrono::milliseconds(10);
    share().ran(std::chrono::milliseconds(8));
    return {};
  };
  log().on_call(busy);
  passed_ = [&](std::string_view step) { is_slow = is_slow || step == "throttled"; };
  CaptureRecord record = record_;
  const auto done = run(record).value();
  ASSERT_TRUE(done) << done.error().what();
  const CapChange change{.before = 80, .set = {36}};
  EXPECT_FALSE(record.throttled);
  EXPECT_EQ(share().cap(), 80U);
  EXPECT_EQ(metadata()["header"]["live"]["throttled"]["cap_before"], 80);
  EXPECT_EQ(metadata()["header"]["live"]["throttled"]["caps"], Json({36}));
  EXPECT_GT(metadata()["header"]["live"]["throttled"]["us"], 0);
  ASSERT_TRUE(run(record).value());

  record_.order.to = directory_ / "other";
  is_slow = false;
  passed_ = [&](std::string_view step) {
    if (step == "throttled") throw Killed{};
  };
  log().on_call([&](const std::string& what) {
    return what == "stop_log" ? Result<>(fail(ErrorCode::kOs, "killed")) : busy(what);
  });
  share().on_call([&, sets = 0](const std::string& what) mutable -> Result<> {
    if (what == "set_cap" && ++sets > 1) return fail(ErrorCode::kOs, "killed");
    return {};
  });
  noted_.clear();
  ASSERT_FALSE(run(record_));
  EXPECT_EQ(share().cap(), change.set.back()) << "it is killed";
  log().on_call(no_hook());
  share().on_call(no_hook());
  record_ = noted_.back();
  EXPECT_EQ(record_.throttled, change);
  EXPECT_EQ(run().error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(share().cap(), 80U);
  EXPECT_FALSE(log().is_on());
}

// The caretaker sees by the state that somebody must see to the domain.
TEST_F(LiveModeTest, WhatCannotBeTakenBackKeepsItsState) {
  for (const char* call : {"stop_log", "unpause"}) {
    const auto hook = [&](const std::string& what) {
      return what == call ? Result<>(fail(ErrorCode::kOs, "Xen refuses")) : Result<>();
    };
    log().on_call(hook);
    domain().on_call(hook);
    CaptureRecord record = record_;
    ASSERT_FALSE(run(record).value());
    EXPECT_EQ(record.state,
              call == std::string("unpause") ? CaptureState::kStopping : CaptureState::kTracking);
    EXPECT_EQ(noted_.back().state, record.state);
    log().on_call(no_hook());
    domain().on_call(no_hook());
    EXPECT_EQ(run(record).value().error().code(), ErrorCode::kCancelled);
    expect_nothing_left();
  }
}

TEST_F(LiveModeTest, AnInterruptedOneOfADomainThatIsGoneOnlyLosesItsFiles) {
  kill_at_note_ = 2;
  ASSERT_FALSE(run(record_));
  kill_at_note_ = 0;
  record_ = noted_.back();
  domain().set_uuid("uuid-of-somebody");
  EXPECT_EQ(run().error().code(), ErrorCode::kCancelled);
  EXPECT_THAT(files(), IsEmpty());
}

// When the instant is kept, the domain is not needed, and a kill costs a portion.
TEST_F(LiveModeTest, TheDumpIsContinuedFromTheImage) {
  ASSERT_TRUE(run());
  memory().fill(Gfn{kDataFrame}, std::byte{0x11});
  cancel_after_ = kFrames / 2;
  const auto stopped = run();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), ErrorCode::kCancelled);
  EXPECT_THAT(files(), Contains("dump-image"));
  cancel_after_.reset();
  ASSERT_TRUE(host_.crash(domid_));
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(files(), ElementsAre("dump", "dump-dmesg.txt", "dump-metadata.json"));
  memory().fill(Gfn{kDataFrame}, std::byte{0x77});
  expect_dump_equals_memory(record_.order.to);
}

TEST_F(LiveModeTest, DiscardingDeletesAnImageToo) {
  ASSERT_TRUE(run());
  record_.state = CaptureState::kFailed;
  ASSERT_TRUE(discard_files(record_));
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(LiveModeTest, ItsWordsAreChecked) {
  CaptureOrder order = record_.order;
  EXPECT_TRUE(check_order(order));
  order.if_busy = "wait";
  EXPECT_THAT(check_order(order).error().what(), HasSubstr("--if-busy"));
  order = record_.order;
  order.max_stop_ms = 0;
  EXPECT_THAT(check_order(order).error().what(), HasSubstr("--max-stop"));
  order = record_.order;
  order.restart = true;
  EXPECT_THAT(check_order(order).error().what(), HasSubstr("--restart"));
  order = record_.order;
  order.mode = "copy";
  order.max_stop_ms = 10;
  EXPECT_THAT(check_order(order).error().what(), HasSubstr("--mode live"));
}

}  // namespace
}  // namespace hadump
