// SPDX-License-Identifier: GPL-2.0-or-later
// Captures whose domain is put aside and replaced, as the caretaker sees them; what such a capture
// does is alias_mode_test.cc's.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "hv/domain/hvm_guest.h"
#include "hv/domain/pv_guest.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr const char* kAside = "aside-uuid";

class CaretakerAsideTest : public CaretakerTest {
 protected:
  CaretakerAsideTest() {
    capture_hook = [this](CaptureRecord& record) { return alias(record); };
    set_policies("max-crashes", "0");
    domid = known(config("web"));
    host.at(domid).domain.crash_again();
    settle();
    CaptureOrder order;
    order.mode = "alias";
    order.to = "/var/captures/";
    EXPECT_TRUE(caretaker->capture(domid, order));
    set_policies("max-crashes", "3");
  }
  /// A run of the capture: the first puts the domain aside, and one without a failure ends it.
  Result<> alias(CaptureRecord& record) {
    if (record.aside_uuid.empty()) {
      const std::string blueprint = host.config(record.domid)->blueprint;
      record.aside_uuid = kAside;
      record.state = CaptureState::kWriting;
      EXPECT_TRUE(captures->save(record));
      EXPECT_TRUE(host.set_aside(record.domid, kAside));
      EXPECT_TRUE(host.create(blueprint, 0));
    }
    if (!failures.empty()) {
      Error error = failures.front();
      failures.erase(failures.begin());
      return tl::unexpected(std::move(error));
    }
    const bool there = !host.with_uuid(kAside).empty();
    EXPECT_TRUE(!there || host.destroy(record.domid));
    record.domain_kept = false;
    record.state = CaptureState::kWritten;
    return captures->save(record);
  }
  CaptureRecord newest() { return caretaker->captures().back().record; }
  std::size_t domains_seen() { return caretaker->views().size(); }

  unsigned domid = 0;
  std::vector<Error> failures;  ///< of the next runs
};

TEST_F(CaretakerAsideTest, TheSuccessorIsLookedAfterAndTheOldDomainGoes) {
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_EQ(state("web"), "watching");
  EXPECT_THAT(host.with_uuid("uuid-of-web"), SizeIs(1));
  EXPECT_THAT(host.with_uuid(kAside), IsEmpty());
  EXPECT_EQ(domains_seen(), 1U);
  EXPECT_THAT(rescued, IsEmpty());
}

TEST_F(CaretakerAsideTest, TheSuccessorIsLookedAfterWhileTheCaptureIsWritten) {
  failures = {Error(ErrorCode::kNoSpace, "the disk is full"), Error(ErrorCode::kNoSpace, "still")};
  settle();
  EXPECT_EQ(state("web"), "watching");
  EXPECT_EQ(domains_seen(), 1U) << "the one that was put aside is the capture's alone";
  EXPECT_EQ(newest().state, CaptureState::kWriting);
  EXPECT_EQ(newest().error, "the disk is full");
  EXPECT_THAT(captured, SizeIs(1)) << "it waits";
  pass(1h);
  settle();
  EXPECT_EQ(newest().error, "still");
  pass(1h);
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_THAT(captured, SizeIs(3));
  EXPECT_THAT(rescued, IsEmpty());
}

TEST_F(CaretakerAsideTest, TheNextHadumpdGoesOn) {
  failures = {Error(ErrorCode::kNoSpace, "the disk is full")};
  settle();
  restart();
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_EQ(state("web"), "watching");
  EXPECT_THAT(rescued, IsEmpty());
}

// Its memory may be all that there is of the crash.
TEST_F(CaretakerAsideTest, ADumpThatIsNotWholeKeepsTheDomain) {
  failures = {Error(ErrorCode::kIncomplete, "memory could not be read")};
  settle();
  restart();
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_TRUE(newest().domain_kept);
  EXPECT_THAT(host.with_uuid(kAside), ElementsAre(domid));
  EXPECT_THAT(captured, SizeIs(1));
  EXPECT_THAT(rescued, IsEmpty()) << "it would be a second one with the same address";
  EXPECT_EQ(domains_seen(), 1U);
  ASSERT_TRUE(host.destroy(domid));
  settle();
  EXPECT_FALSE(newest().domain_kept);
}

TEST_F(CaretakerAsideTest, WithoutTheDomainItIsTriedOnce) {
  failures = {Error(ErrorCode::kNoSpace, "the disk is full"), Error(ErrorCode::kOs, "no domain")};
  settle();
  ASSERT_TRUE(host.destroy(domid));
  restart();
  settle();
  pass(1h);
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_THAT(newest().error, HasSubstr("gone"));
  EXPECT_FALSE(newest().domain_kept);
  EXPECT_THAT(captured, SizeIs(2));
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerAsideTest, ARecordOfTheDomainOutlivesTheChange) {
  DomainRecord record;
  record.uuid = "uuid-of-web";
  record.name = "web";
  record.domid = 0;  // about to be created
  record.crashes = {1, 2};
  record.started_ms = 1;
  ASSERT_TRUE(book->save(record));
  look();
  EXPECT_TRUE(book->find("uuid-of-web"));
}

// The policy's captures.
class CaretakerOnCrashTest : public CaretakerTest {
 protected:
  CaretakerOnCrashTest() {
    capture_hook = [this](CaptureRecord& record) -> Result<> {
      orders.push_back(record.order);
      if (failure) return tl::unexpected(*failure);
      record.state = CaptureState::kWritten;
      return captures->save(record);
    };
  }
  unsigned crashed(const std::string& name, bool registered = false) {
    const unsigned domid = known(config(name));
    if (registered) host.at(domid).store.keys[HADUMP_XS_STATE] = "registered";
    settle();
    host.at(domid).domain.crash_again();
    settle();
    return domid;
  }
  std::vector<CaptureOrder> orders;
  std::optional<Error> failure;
};

TEST_F(CaretakerOnCrashTest, ACrashIsCapturedAndAnotherDomainTakesItsPlace) {
  set_policies("on-crash", "capture");
  set_policies("capture-to", "/var/captures/");
  set_policies("capture-mode", "copy");
  set_policies("capture-dump-level", "1,31");
  const unsigned domid = crashed("web");
  ASSERT_THAT(orders, SizeIs(1));
  EXPECT_EQ(orders[0].to, "/var/captures/");
  EXPECT_EQ(orders[0].mode, "copy");
  EXPECT_EQ(orders[0].dump_level, "1,31");
  EXPECT_TRUE(orders[0].restart);
  ASSERT_THAT(host.with_uuid("uuid-of-web"), SizeIs(1));
  EXPECT_NE(host.with_uuid("uuid-of-web").front(), domid);
  EXPECT_THAT(rescued, IsEmpty());
  EXPECT_THAT(record("web").crashes, SizeIs(1)) << "the next hadumpd knows of it";
}

TEST_F(CaretakerOnCrashTest, TooManyCrashesEndInADomainThatIsKept) {
  set_policies("on-crash", "capture");
  set_policies("max-crashes", "1");
  crashed("web");
  host.at(host.with_uuid("uuid-of-web").front()).domain.crash_again();
  settle();
  EXPECT_THAT(orders, SizeIs(1));
  EXPECT_EQ(state("web"), "failed");
}

TEST_F(CaretakerOnCrashTest, AFailedCaptureKeepsTheDomainAndIsRetriedWhenAsked) {
  set_policies("on-crash", "capture");
  failure = Error(ErrorCode::kBadData, "no such memory");
  const unsigned domid = crashed("web");
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(orders, SizeIs(1));
  EXPECT_THAT(host.with_uuid("uuid-of-web"), ElementsAre(domid));
  failure.reset();
  pass(1s);
  caretaker->reconsider();
  settle();
  EXPECT_THAT(orders, SizeIs(2));
  EXPECT_NE(host.with_uuid("uuid-of-web").front(), domid);
  EXPECT_THAT(rescued, IsEmpty());
}

// No admin is there to ask again.
TEST_F(CaretakerOnCrashTest, ACaptureThatMaySucceedLaterIsRetried) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "copy");
  failure = Error(ErrorCode::kNoSpace, "no room");
  const unsigned domid = crashed("web");
  for (const auto pause : {1s, 2s, 4s}) {
    EXPECT_EQ(state("web"), "retrying");
    EXPECT_THAT(view("web").note, HasSubstr("no room (attempt "));
    EXPECT_THAT(host.with_uuid("uuid-of-web"), ElementsAre(domid));
    pass(pause - 1ms);
    const std::size_t attempts = orders.size();
    settle();
    EXPECT_EQ(orders.size(), attempts) << "not before its time";
    pass(1ms);
    settle();
  }
  EXPECT_THAT(caretaker->captures(), SizeIs(1)) << "one crash is one capture";
  failure.reset();
  pass(8s);
  settle();
  EXPECT_THAT(orders, SizeIs(5));
  EXPECT_NE(host.with_uuid("uuid-of-web").front(), domid);
  EXPECT_EQ(caretaker->captures().back().record.state, CaptureState::kWritten);
}

// An admin who has made room elsewhere says so in the configuration.
TEST_F(CaretakerOnCrashTest, ANewConfigurationBeginsACaptureAnewThatWaits) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "copy");
  set_policies("capture-to", "/full/");
  failure = Error(ErrorCode::kNoSpace, "no room");
  const unsigned domid = crashed("web");
  ASSERT_EQ(state("web"), "retrying");
  failure.reset();
  set_policies("capture-to", "/roomy/");
  caretaker->reconsider();
  settle();
  ASSERT_THAT(orders, SizeIs(2));
  EXPECT_EQ(orders[1].to, "/roomy/");
  EXPECT_THAT(caretaker->captures(), SizeIs(1)) << "one crash is one capture";
  EXPECT_NE(host.with_uuid("uuid-of-web").front(), domid);
}

// hadumpd no longer looks after it, but ends what it has begun, and not all the time.
TEST_F(CaretakerOnCrashTest, ACaptureWaitsAlsoWhenItsDomainIsNotWatchedAnyMore) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "copy");
  failure = Error(ErrorCode::kNoSpace, "no room");
  crashed("web");
  set_policies("enabled", "no");
  restart();
  settle();
  const std::size_t attempts = orders.size();
  settle();
  EXPECT_EQ(orders.size(), attempts) << "not before its time";
}

TEST_F(CaretakerOnCrashTest, ACaptureThatWaitsEndsWhenItsDomainIsBootedAgain) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "copy");
  failure = Error(ErrorCode::kNoSpace, "no room");
  const unsigned domid = crashed("web");
  ASSERT_TRUE(caretaker->trigger(domid, true));
  settle();
  const CaptureRecord left = caretaker->captures().back().record;
  EXPECT_EQ(left.state, CaptureState::kFailed);
  EXPECT_EQ(left.error, "the domain was booted again");
}

TEST_F(CaretakerOnCrashTest, ACaptureIsBegunLaterWhenThereIsNoThread) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "copy");
  const unsigned domid = known(config("web"));
  settle();
  host.at(domid).domain.crash_again();
  jobs.refuse_next();
  settle();
  EXPECT_EQ(state("web"), "retrying");
  pass(1s);
  settle();
  EXPECT_THAT(orders, SizeIs(1));
  EXPECT_THAT(caretaker->captures(), SizeIs(1));
}

TEST_F(CaretakerOnCrashTest, ACaptureIsRetriedByTheNextHadumpd) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "copy");
  failure = Error(ErrorCode::kNoSpace, "no room");
  crashed("web");
  restart();
  failure.reset();
  settle();
  EXPECT_THAT(orders, SizeIs(2));
  EXPECT_EQ(caretaker->captures().back().record.state, CaptureState::kWritten);
}

TEST_F(CaretakerOnCrashTest, AutoBootsInPlaceWhereTheGuestCanBeSaved) {
  set_policies("on-crash", "auto");
  crashed("without");
  EXPECT_THAT(orders, SizeIs(1));
  EXPECT_THAT(rescued, IsEmpty());
  const unsigned with = crashed("with", true);
  EXPECT_THAT(orders, SizeIs(1));
  EXPECT_THAT(rescued, ElementsAre(with));
}

// Nothing of it is needed to create it anew.
TEST_F(CaretakerOnCrashTest, AGuestThatCannotBeBootedInPlaceIsCaptured) {
  set_policies("on-crash", "capture");
  DomainConfig small = config("small");
  small.kernel.clear();
  small.memory_bytes = 128_MiB;
  const unsigned domid = known(small);
  EXPECT_EQ(state("small"), "watching");
  host.at(domid).domain.crash_again();
  settle();
  EXPECT_THAT(orders, SizeIs(1));
}

// Whatever mode the policy names: a capture that is refused would leave it down.
TEST_F(CaretakerOnCrashTest, AGuestThatHasNoAliasIsCopied) {
  set_policies("on-crash", "capture");
  set_policies("capture-mode", "alias");
  for (const GuestKind* kind : {&kHvmGuest, &kPvGuest}) {
    orders.clear();
    const std::string name(kind->name);
    DomainConfig guest = config(name);
    guest.kind = kind;
    const unsigned domid = known(guest);
    EXPECT_EQ(state(name), "watching");
    host.at(domid).domain.crash_again();
    settle();
    ASSERT_THAT(orders, SizeIs(1)) << name;
    EXPECT_EQ(orders[0].mode, "copy");
  }
}

TEST_F(CaretakerOnCrashTest, AnHvmGuestIsNotBootedInPlaceByATrigger) {
  set_policies("on-crash", "capture");
  failure = Error(ErrorCode::kBadData, "no such memory");
  DomainConfig hvm = config("hvm");
  hvm.kind = &kHvmGuest;
  const unsigned domid = known(hvm);
  host.at(domid).domain.crash_again();
  settle();
  ASSERT_EQ(state("hvm"), "failed");
  const auto refused = caretaker->trigger(domid, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(rescued, IsEmpty());
}

TEST_F(CaretakerAsideTest, WhatIsNotLookedAfterIsNotReplaced) {
  EXPECT_TRUE(policies.add("domain db", "enabled", "no"));
  caretaker->set_policies(policies);
  const unsigned other = known(config("db"));
  host.at(other).domain.crash_again();
  CaptureOrder order;
  order.mode = "alias";
  order.to = "/var/captures/";
  const auto done = caretaker->capture(other, order);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("--mode alias: hadumpd would not look after"));
}

}  // namespace
}  // namespace hadump
