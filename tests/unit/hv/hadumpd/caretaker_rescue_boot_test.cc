// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker does about a rescue boot, when nothing else has let a guest save its dump.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

class CaretakerRescueBootTest : public CaretakerTest {
 protected:
  CaretakerRescueBootTest() {
    set_policies("max-crashes", "9");
    set_policies("on-window-failure", "capture");
    set_policies("capture-mode", "copy");
    can_rescue = true;
  }
  /// One whose dump waits. @param memory  with 512 MiB there is no larger window.
  unsigned waiting(const std::string& name, std::uint64_t memory = 512_MiB) {
    DomainConfig of_size = config(name);
    of_size.memory_bytes = memory;
    const unsigned domid = known(of_size);
    crash(domid);
    DomainRecord changed = record(name);
    changed.window_bytes = 256_MiB;
    changed.save_area = frames_of_bytes(4_GiB, 258_MiB);
    EXPECT_TRUE(book->save(changed));
    return domid;
  }
  void begin_to_save(unsigned domid) {
    pass(8s);
    settle();
    host.at(domid).store.keys[HADUMP_XS_STATE] = HADUMP_STATE_SAVING;
    pass(8s);
    settle();
  }
};

TEST_F(CaretakerRescueBootTest, FollowsTheSecondFailureWithoutALargerWindow) {
  set_policies("window-max", "256M");
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  EXPECT_THAT(rescue_boots, ElementsAre(false, false, true));
  EXPECT_EQ(state("web"), "waiting");
  EXPECT_THAT(view("web").note, HasSubstr("boot 2 in the window crashed before"));
  EXPECT_THAT(view("web").note, HasSubstr("; a rescue boot was begun then"));
  EXPECT_THAT(captured, IsEmpty());
}

TEST_F(CaretakerRescueBootTest, FollowsTheLargerWindow) {
  const unsigned domid = waiting("web", 4_GiB);
  crash(domid);
  crash(domid);
  crash(domid);
  EXPECT_THAT(larger_windows, ElementsAre(0U, 0U, 512_MiB, 0U));
  EXPECT_THAT(rescue_boots, ElementsAre(false, false, false, true));
  EXPECT_THAT(record("web").window.tried, ElementsAre(WindowStep::kLargerWindow));
  crash(domid);
  EXPECT_THAT(captured, SizeIs(1)) << "once only";
}

TEST_F(CaretakerRescueBootTest, IsForGuestsThatCan) {
  can_rescue = false;
  set_policies("window-max", "256M");
  set_policies("max-crashes", "3");
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  EXPECT_THAT(rescue_boots, ElementsAre(false, false));
  EXPECT_THAT(captured, SizeIs(1));
}

// The default limit has room for two more boots than the first.
TEST_F(CaretakerRescueBootTest, IsTheLastBootWithinTheLimit) {
  set_policies("max-crashes", "3");
  const unsigned domid = waiting("web", 4_GiB);
  crash(domid);
  crash(domid);
  EXPECT_THAT(larger_windows, ElementsAre(0U, 0U, 512_MiB));
  EXPECT_THAT(rescue_boots, ElementsAre(false, false, true)) << "both at once";
  crash(domid);
  EXPECT_THAT(captured, SizeIs(1));
}

// Its services take the memory while it saves: the window is tried no more, but what saves first
// is.
TEST_F(CaretakerRescueBootTest, IsTheLastBootOfAGuestThatSaves) {
  set_policies("max-crashes", "3");
  const unsigned domid = waiting("web");
  begin_to_save(domid);
  crash(domid);
  EXPECT_THAT(rescue_boots, ElementsAre(false, false));
  begin_to_save(domid);
  crash(domid);
  EXPECT_THAT(rescue_boots, ElementsAre(false, false, true));
  EXPECT_THAT(captured, IsEmpty());
}

TEST_F(CaretakerRescueBootTest, ThatSavesGoesOnAfterACrash) {
  const unsigned domid = waiting("web", 4_GiB);
  for (int i = 0; i < 3; ++i) crash(domid);
  begin_to_save(domid);
  crash(domid);
  EXPECT_THAT(rescue_boots, ElementsAre(false, false, false, true, true));
  EXPECT_EQ(record("web").window.rescue_since, 4U);
  EXPECT_THAT(captured, IsEmpty());
}

TEST_F(CaretakerRescueBootTest, ThatCannotBeBootedIsFollowedByTheNextStep) {
  set_policies("window-max", "256M");
  const unsigned domid = waiting("web");
  crash(domid);
  const DomainRecord before = record("web");
  rescue_failures = {Error(ErrorCode::kBadData, "the node is damaged")};
  rescue_hook = [&] { ASSERT_TRUE(book->save(before)); };
  std::vector<WindowStep> tried;
  capture_hook = [&](CaptureRecord& capture) -> Result<> {
    tried = record("web").window.tried;
    capture.state = CaptureState::kWritten;
    return captures->save(capture);
  };
  crash(domid);
  EXPECT_THAT(tried, ElementsAre(WindowStep::kRescueBoot));
  EXPECT_THAT(rescue_boots, ElementsAre(false, false, true));
}

TEST_F(CaretakerRescueBootTest, KeepSaysThatItWasTried) {
  set_policies("on-window-failure", "keep");
  set_policies("window-max", "256M");
  const unsigned domid = waiting("web");
  for (int i = 0; i < 3; ++i) crash(domid);
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(view("web").note, HasSubstr("boot 3 in the window, a rescue boot, crashed before"));
  EXPECT_THAT(view("web").note, HasSubstr(", rescue-boot failed"));
}

}  // namespace
}  // namespace hadump
