// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker does about a larger window, when the one that a guest has is too small.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "hv/domain/guest_kind.h"
#include "hv/rescue/window_plan.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr std::uint64_t kSaveArea = 258_MiB;

class CaretakerLargerWindowTest : public CaretakerTest {
 protected:
  CaretakerLargerWindowTest() {
    set_policies("max-crashes", "9");
    set_policies("on-window-failure", "capture");
    set_policies("capture-mode", "copy");
  }
  DomainConfig large_config(const std::string& name) const {
    DomainConfig large = config(name);
    large.memory_bytes = 4_GiB;
    return large;
  }
  /// One whose dump waits, with a save area of its own.
  unsigned waiting(const std::string& name) {
    const unsigned domid = known(large_config(name));
    crash(domid);
    change(name, [](DomainRecord& record) {
      record.window_bytes = 256_MiB;
      record.save_area = frames_of_bytes(4_GiB, kSaveArea);
    });
    return domid;
  }
  void change(const std::string& name, const std::function<void(DomainRecord&)>& how) {
    DomainRecord changed = record(name);
    how(changed);
    ASSERT_TRUE(book->save(changed));
  }
};

TEST_F(CaretakerLargerWindowTest, IsWhatFollowsTheSecondFailure) {
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  EXPECT_THAT(larger_windows, ElementsAre(0U, 0U, 512_MiB));
  EXPECT_EQ(state("web"), "waiting");
  EXPECT_THAT(view("web").note, HasSubstr("boot 2 in the window crashed before"));
  EXPECT_THAT(view("web").note, HasSubstr("512 MiB instead of 256 MiB"));
  EXPECT_THAT(captured, IsEmpty());
}

TEST_F(CaretakerLargerWindowTest, ThatFailsOnceOnly) {
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  crash(domid);
  EXPECT_THAT(larger_windows, SizeIs(3));
  EXPECT_THAT(captured, SizeIs(1)) << "then as the policy says";
}

TEST_F(CaretakerLargerWindowTest, AGuestThatSavesInItIsBootedInItAgain) {
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  pass(8s);
  settle();
  host.at(domid).store.keys[HADUMP_XS_STATE] = HADUMP_STATE_SAVING;
  pass(8s);
  settle();
  crash(domid);
  EXPECT_THAT(larger_windows, ElementsAre(0U, 0U, 512_MiB, 0U));
  EXPECT_EQ(record("web").window_bytes, 512_MiB);
  EXPECT_THAT(captured, IsEmpty());
}

// The step counts as tried, and the guest does not stay down for want of memory.
TEST_F(CaretakerLargerWindowTest, WithoutRoomTheNextStepIsTaken) {
  const unsigned domid = waiting("web");
  crash(domid);
  const DomainRecord before = record("web");
  rescue_failures = {Error(ErrorCode::kNoSpace, "the host has room for 10 MiB")};
  std::vector<WindowStep> tried;
  rescue_hook = [&] { ASSERT_TRUE(book->save(before)); };
  capture_hook = [&](CaptureRecord& capture) -> Result<> {
    tried = record("web").window.tried;
    EXPECT_THAT(record("web").error, HasSubstr("larger-window: the host has room for 10 MiB"));
    capture.state = CaptureState::kWritten;
    return captures->save(capture);
  };
  crash(domid);
  EXPECT_THAT(larger_windows, ElementsAre(0U, 0U, 512_MiB));
  EXPECT_THAT(captured, SizeIs(1));
  EXPECT_THAT(tried, ElementsAre(WindowStep::kLargerWindow));
}

TEST_F(CaretakerLargerWindowTest, KeepSaysThatItWasTried) {
  set_policies("on-window-failure", "keep");
  const unsigned domid = waiting("web");
  crash(domid);
  const DomainRecord before = record("web");
  rescue_failures = {Error(ErrorCode::kUnsupported, "a part was released")};
  rescue_hook = [&] { ASSERT_TRUE(book->save(before)); };
  crash(domid);
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(view("web").note,
              HasSubstr("larger-window failed (larger-window: a part was released)"));
}

TEST_F(CaretakerLargerWindowTest, IsNotOfferedWhereItCannotBe) {
  const std::vector<std::function<void(DomainRecord&)>> reasons = {
      [](DomainRecord& record) { record.mode = SaveMode::kRegistered; },
      [](DomainRecord& record) { record.save_area = {}; },
      [](DomainRecord& record) { record.window.saving = 1; },  // a saver had begun
      [](DomainRecord& record) { record.window_bytes = kMostWindow; },
  };
  int number = 0;
  for (const auto& reason : reasons) {
    SCOPED_TRACE(number);
    const std::string name = "web" + std::to_string(++number);
    const unsigned domid = waiting(name);
    crash(domid);
    change(name, reason);
    crash(domid);
    EXPECT_EQ(larger_windows.back(), 0U);
    EXPECT_THAT(captured, SizeIs(number));
  }
}

// While the dump moves, both save areas are there.
TEST_F(CaretakerLargerWindowTest, BothSaveAreasCountAgainstWhatTheHostAllows) {
  EXPECT_TRUE(policies.add("host", "max-save-memory", "769M"));
  caretaker->set_policies(policies);
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  EXPECT_EQ(larger_windows.back(), 0U);
  EXPECT_THAT(captured, SizeIs(1));

  EXPECT_TRUE(policies.add("host", "max-save-memory", "1G"));
  caretaker->set_policies(policies);
  const unsigned other = waiting("db");
  crash(other);
  crash(other);
  EXPECT_EQ(larger_windows.back(), 512_MiB);
  // One that was left behind counts, too.
  change("db", [](DomainRecord& record) { record.other_area = frames_of_bytes(8_GiB, 500_MiB); });
  const unsigned third = known(config("mail"));
  crash(third);
  EXPECT_EQ(room_for_save_area.back(), 1_GiB - kSaveArea - 500_MiB);
}

TEST_F(CaretakerLargerWindowTest, OneThatIsJustBeingAddedCountsToo) {
  EXPECT_TRUE(policies.add("host", "max-save-memory", "2G"));
  caretaker->set_policies(policies);
  const unsigned domid = waiting("web");
  crash(domid);
  const unsigned other = known(config("mail"));
  host.at(domid).domain.crash_again();
  look();
  ASSERT_THAT(jobs.waiting(), SizeIs(1));
  host.at(other).domain.crash_again();
  settle();
  ASSERT_EQ(rescued.back(), other);
  const FrameSet ram = ram_of(large_config("web")).value();
  const std::uint64_t planned = save_area_reserve(ram, plan_window(ram, 512_MiB).value(), 1);
  EXPECT_EQ(room_for_save_area.back(), 2_GiB - kSaveArea - planned);
}

// Nothing else is left to be done, and memory may come.
TEST_F(CaretakerLargerWindowTest, IsWaitedForWhereTheGuestWouldStayDown) {
  set_policies("on-window-failure", "keep");
  const unsigned domid = waiting("web");
  crash(domid);
  const DomainRecord before = record("web");
  rescue_failures = {Error(ErrorCode::kNoSpace, "the host has room for 10 MiB")};
  rescue_hook = [&] { ASSERT_TRUE(book->save(before)); };
  crash(domid);
  EXPECT_EQ(state("web"), "retrying");
  EXPECT_THAT(view("web").note, HasSubstr("10 MiB"));
  pass(4s);
  settle();
  EXPECT_THAT(larger_windows, ElementsAre(0U, 0U, 512_MiB, 512_MiB));
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerLargerWindowTest, WhatAdminsWantTriedAgainMayGrowAgain) {
  set_policies("on-window-failure", "keep");
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  crash(domid);
  EXPECT_EQ(state("web"), "failed");
  caretaker->reconsider();
  settle();
  EXPECT_EQ(larger_windows.back(), 1_GiB);
  EXPECT_EQ(state("web"), "waiting");
}

}  // namespace
}  // namespace hadump
