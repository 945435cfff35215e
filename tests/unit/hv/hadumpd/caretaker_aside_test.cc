// SPDX-License-Identifier: GPL-2.0-or-later
// Captures whose domain is put aside and replaced, as the caretaker sees them; what such a capture
// does is alias_mode_test.cc's.
#include <gmock/gmock.h>

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
