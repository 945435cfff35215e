// SPDX-License-Identifier: GPL-2.0-or-later
// What an administrator does with xl while a dump waits.
#include <gmock/gmock.h>

#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

class AdministratorTest : public CaretakerTest {
 protected:
  static constexpr std::uint64_t kFull = 512_MiB >> 10;
  static constexpr std::uint64_t kRaised = kFull + (300_MiB >> 10);

  AdministratorTest() : domid_(known(config("web"))) {
    resident().domain.crash_again();
    settle();
    DomainRecord record = this->record("web");
    record.old_limit_kib = kFull + 1024;
    record.raised_limit_kib = kRaised;
    EXPECT_TRUE(book->save(record));
    set(kRaised, kFull);
    resident().domain.set_memory(resident().memory);
    settle();
  }
  InMemoryHost::Resident& resident() { return host.at(domid_); }
  void set(std::uint64_t limit_kib, std::uint64_t target_kib) {
    EXPECT_TRUE(resident().memory.set_limit_kib(limit_kib));
    resident().store.target_kib = target_kib;
  }

  unsigned domid_;
};

TEST_F(AdministratorTest, MemSetIsUndoneUntilTheDumpIsOver) {
  const std::uint64_t wish = 400_MiB >> 10;
  set(wish + 1024, wish);
  settle();

  EXPECT_EQ(resident().memory.limit_kib(), kRaised);
  EXPECT_EQ(resident().store.target_kib, kFull);
  EXPECT_EQ(record("web").old_target_kib, wish);

  pass(5s);
  settle();
  resident().store.keys[HADUMP_XS_STATE] = "done";
  settle();
  EXPECT_EQ(record("web").step, Step::kDone);
  EXPECT_EQ(resident().store.target_kib, wish) << "now it takes effect";
  EXPECT_EQ(resident().memory.limit_kib(), wish + 1024);
}

// What is known of xenstore is a second old.
TEST_F(AdministratorTest, OldNewsIsNoOtherWish) {
  set(0, 300_MiB >> 10);
  const auto old = said();
  look();
  jobs.finish();
  ASSERT_EQ(resident().store.target_kib, kFull);
  caretaker->heard({old, 0});
  ASSERT_TRUE(caretaker->look_around());
  EXPECT_THAT(jobs.waiting(), IsEmpty());
}

TEST_F(AdministratorTest, UndoingIsTriedAgain) {
  host.fail_next("open", Error(ErrorCode::kOs, "no handle"));
  const auto news = said();
  set(kFull, kFull);
  caretaker->heard({news, 0});
  ASSERT_TRUE(caretaker->look_around());
  host.fail_next("open", Error(ErrorCode::kOs, "no handle"));
  jobs.finish();
  EXPECT_NE(resident().memory.limit_kib(), kRaised);
  EXPECT_THAT(view("web").note, HasSubstr("no handle"));
  pass(1s);
  settle();
  EXPECT_EQ(resident().memory.limit_kib(), kRaised);
}

TEST_F(AdministratorTest, ANewNameIsSeen) {
  resident().config.name = "shop";
  new_names[domid_] = "shop";
  settle();
  EXPECT_EQ(state("shop"), "waiting");
  EXPECT_EQ(state("web"), "");
  EXPECT_EQ(rescued.size(), 1U) << "it is the same domain";
}

TEST_F(AdministratorTest, APausedDomainIsLeftAlone) {
  EXPECT_TRUE(resident().domain.pause());
  set(0, 300_MiB >> 10);
  settle();
  EXPECT_EQ(resident().store.target_kib, 300_MiB >> 10);
  EXPECT_EQ(state("web"), "waiting");
  EXPECT_TRUE(resident().domain.start());
  settle();
  EXPECT_EQ(resident().store.target_kib, kFull);
}

}  // namespace
}  // namespace hadump
