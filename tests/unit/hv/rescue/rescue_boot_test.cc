// SPDX-License-Identifier: GPL-2.0-or-later
// A boot of a dump that waits, whose initramfs is asked to save it.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "hv/rescue/boot_image.h"
#include "hv/rescue/crash_run.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

class RescueBootTest : public CrashRunTest {
 protected:
  RescueBootTest() { store.keys = {{"version", "1"}, {"abilities", "rescue"}}; }
  void next_boot(bool rescue) {
    domain.crash_again();
    policy.rescue_boot = rescue;
    const auto done = run();
    ASSERT_TRUE(done) << done.error().what();
  }
};

TEST_F(RescueBootTest, AsksTheInitramfsFromThenOn) {
  ASSERT_TRUE(run());
  EXPECT_TRUE(record.window.can_rescue);
  EXPECT_EQ(record.window.rescue_since, 0U);
  EXPECT_THAT(cmdline(), Not(HasSubstr("hadump.rescue")));
  next_boot(false);
  EXPECT_THAT(cmdline(), Not(HasSubstr("hadump.rescue")));
  next_boot(true);
  EXPECT_EQ(record.window.rescue_since, 3U);
  EXPECT_THAT(cmdline(), HasSubstr(" hadump.rescue=1"));
  expect_dump_is_true();
  next_boot(false);
  EXPECT_EQ(record.window.rescue_since, 3U);
  EXPECT_THAT(cmdline(), HasSubstr(" hadump.rescue=1"));
}

TEST_F(RescueBootTest, IsPossibleInALargerWindow) {
  ASSERT_TRUE(run());
  policy.larger_window_bytes = 256_MiB;
  next_boot(true);
  EXPECT_EQ(record.window_bytes, 256_MiB);
  EXPECT_EQ(record.window.rescue_since, 2U);
  EXPECT_THAT(cmdline(), HasSubstr(" hadump.rescue=1"));
}

// The next agent is told by the record alone.
TEST_F(RescueBootTest, IsOneForTheNextAgentToo) {
  ASSERT_TRUE(run());
  domain.crash_again();
  policy.rescue_boot = true;
  records.stop_after(Step::kReset);
  EXPECT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  record = parse_record(to_json(records.saved.back())).value();
  policy.rescue_boot = false;
  ASSERT_TRUE(run());
  EXPECT_EQ(record.window.rescue_since, 2U);
  EXPECT_THAT(cmdline(), HasSubstr(" hadump.rescue=1"));
}

TEST_F(RescueBootTest, AnotherCrashIsNotConcerned) {
  ASSERT_TRUE(run());
  next_boot(true);
  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  store.keys = {{"version", "1"}};  // without the script in its initramfs
  next_boot(true);
  EXPECT_EQ(record.window, (WindowHistory{.had_module = true}));
  EXPECT_THAT(cmdline(), Not(HasSubstr("hadump.rescue")));
}

}  // namespace
}  // namespace hadump
