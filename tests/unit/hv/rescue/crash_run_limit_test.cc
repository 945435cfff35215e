// SPDX-License-Identifier: GPL-2.0-or-later
// The domain's memory limit is lower than what it has: after "xl mem-set" or "xl mem-max".
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

class LimitedCrashRunTest : public CrashRunTest {
 protected:
  // As "xl mem-set" leaves it while the guest has not given anything away.
  void lower(std::uint64_t kib) {
    wish_ = *guest.total_frames() * 4 - kib;
    ASSERT_TRUE(guest.set_limit_kib(wish_));
  }
  void save_into_a_registered_area() {
    store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
  }
  void expect_back_with_the_wish_in_the_end() {
    EXPECT_EQ(record.step, Step::kStarted);
    if (record.mode == SaveMode::kAdded) expect_dump_is_true();
    EXPECT_GT(guest.limit_kib(), wish_);
    ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
    EXPECT_EQ(guest.limit_kib(), wish_);
  }

  std::uint64_t wish_ = 0;
};

TEST_F(LimitedCrashRunTest, WasLoweredBeforeTheCrash) {
  lower(100U << 10);

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  expect_back_with_the_wish_in_the_end();
}

TEST_F(LimitedCrashRunTest, WasLoweredBeforeTheCrashOfAGuestThatHasRegisteredItsSaveArea) {
  for (std::uint64_t kib : {0U, 100U << 10}) {
    save_into_a_registered_area();
    lower(kib);
    const auto done = run();

    ASSERT_TRUE(done) << done.error().what();
    ASSERT_EQ(record.mode, SaveMode::kRegistered);
    expect_back_with_the_wish_in_the_end();
    domain.crash_again();
  }
}

// Whatever the run was interrupted by: what it does not do itself, an admin can do meanwhile.
TEST_F(LimitedCrashRunTest, IsLoweredInTheMiddleOfARun) {
  for (const char* step : {"reset", "reset_cpus"}) {
    domain.fail_next(step);
    ASSERT_FALSE(run()) << step;
    lower(100U << 10);

    const auto done = run();

    ASSERT_TRUE(done) << step << ": " << done.error().what();
    expect_back_with_the_wish_in_the_end();
    domain.crash_again();
  }
}

TEST_F(LimitedCrashRunTest, KeepsTheWishForTheBalloonToo) {
  const std::uint64_t full = kRam >> 10;
  domain.fail_next("reset_cpus");
  ASSERT_FALSE(run());
  store.target_kib = full - (100U << 10);
  ASSERT_TRUE(run());
  EXPECT_EQ(store.target_kib, full);
  domain.crash_again();
  domain.fail_next("reset_cpus");
  ASSERT_FALSE(run());
  store.target_kib = full - (200U << 10);
  ASSERT_TRUE(run());
  EXPECT_EQ(store.target_kib, full);

  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));

  EXPECT_EQ(store.target_kib, full - (200U << 10)) << "the last one";
}

}  // namespace
}  // namespace hadump
