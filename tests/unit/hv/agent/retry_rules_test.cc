// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/retry_rules.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "core/base/units.h"
#include "hv/agent/core_limit.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

DomainRecord record_at(Step step, bool committed) {
  DomainRecord record;
  record.step = step;
  record.committed = committed;
  return record;
}

TEST(RetryRules, OnlyWhatCanPassIsTriedAgainBeforeTheCommit) {
  const struct {
    Error error;
    bool again;
  } rows[] = {
      {Error(ErrorCode::kNoSpace, "no free memory"), true},
      {Error(ErrorCode::kBusy, "the backend stays in state 4"), true},
      {Error::os(ENOMEM, "mapping"), true},
      {Error::os(EAGAIN, "starting a thread"), true},
      {Error::os(ENOSPC, "writing the record"), true},
      {Error(ErrorCode::kOs, "libxl error -3"), true},
      {Error::os(EPERM, "mapping"), false},
      {Error::os(ESRCH, "mapping"), false},
      {Error::os(EINVAL, "xc_domain_soft_reset"), false},
      {Error(ErrorCode::kBadData, "not a kernel"), false},
      {Error(ErrorCode::kUnsupported, "a new version"), false},
      {Error(ErrorCode::kNotFound, "no such file"), false},
      {Error(ErrorCode::kCancelled, "asked to stop"), false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(pause_before_retry(row.error, nullptr, 1).has_value(), row.again) << row.error.what();
    for (Step step : {Step::kNone, Step::kPaused, Step::kMemoryAdded, Step::kSnapshotComplete}) {
      const DomainRecord record = record_at(step, false);
      EXPECT_EQ(pause_before_retry(row.error, &record, 1).has_value(), row.again)
          << row.error.what() << " at " << to_string(step);
    }
    for (Step step : {Step::kSnapshotComplete, Step::kBackendsDisconnected, Step::kReset,
                      Step::kLoaded, Step::kReconnected, Step::kVcpusSet}) {
      const DomainRecord record = record_at(step, true);
      EXPECT_TRUE(pause_before_retry(row.error, &record, 1))
          << row.error.what() << " at " << to_string(step);
    }
    // A crash of a guest with its dump: nothing has been changed yet.
    const DomainRecord again = record_at(Step::kStarted, true);
    EXPECT_EQ(pause_before_retry(row.error, &again, 1).has_value(), row.again) << row.error.what();
  }
}

TEST(RetryRules, PausesGrowToAMinute) {
  const std::chrono::seconds expected[] = {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s};
  for (unsigned i = 0; i < std::size(expected); ++i) EXPECT_EQ(pause_after(i + 1), expected[i]);
  EXPECT_EQ(pause_after(UINT32_MAX), 60s);
  EXPECT_EQ(pause_after(0), 1s);
}

TEST(RetryRules, OnlyADomainThatRanForAMomentWaits) {
  const struct {
    std::uint64_t ran_s;
    unsigned quick_before;
    std::chrono::milliseconds pause;
    unsigned quick_after;
  } rows[] = {
      {60, 0, 0s, 0}, {60, 9, 0s, 0}, {59, 0, 0s, 1},
      {0, 1, 1s, 2},  {59, 2, 2s, 3}, {0, 99, 60s, 100},
  };
  for (const auto& row : rows) {
    DomainRecord record;
    record.started_ms = 1000000;
    record.quick_restarts = row.quick_before;
    const Recreation plan = plan_recreation(record, record.started_ms + 1000 * row.ran_s);
    EXPECT_EQ(plan.pause, row.pause) << row.ran_s << " s, " << row.quick_before;
    EXPECT_EQ(plan.quick_restarts, row.quick_after);
  }
}

TEST(RetryRules, AClockThatWasSetBackMakesNoQuickRestart) {
  DomainRecord record;
  record.started_ms = 1'700'000'000'000;
  record.quick_restarts = 2;
  const Recreation plan = plan_recreation(record, record.started_ms - 3'600'000);
  EXPECT_EQ(plan.pause, 0ms);
  EXPECT_EQ(plan.quick_restarts, 2U) << "nor an end of a loop";
}

TEST(RetryRules, TheLogHearsOfAnErrorOnce) {
  Attempts attempts;
  EXPECT_TRUE(attempts.due(0ms));
  EXPECT_TRUE(attempts.fail("no memory", 1000ms));
  EXPECT_FALSE(attempts.due(999ms));
  EXPECT_TRUE(attempts.due(1000ms));
  EXPECT_FALSE(attempts.fail("no memory", 3000ms));
  EXPECT_TRUE(attempts.fail("no disk", 7000ms));
  EXPECT_EQ(attempts.failures(), 3U);
}

TEST(RetryRules, ARecordRemembersRestarts) {
  DomainRecord record;
  record.quick_restarts = 3;
  EXPECT_EQ(parse_record(to_json(record)).value().quick_restarts, 3U);
}

TEST(CoreLimit, NamesTheLimit) {
  const CorePolicy policy{
      .directory = "/cores", .max_count = 2, .max_bytes = 10_GiB, .keep_free = 1_GiB};
  const struct {
    CoreUsage usage;
    std::string complaint;
  } rows[] = {
      {{.count = 0, .bytes = 0, .free_bytes = 5_GiB}, ""},
      {{.count = 1, .bytes = 6_GiB, .free_bytes = 5_GiB}, ""},
      {{.count = 2, .bytes = 0, .free_bytes = 100_GiB}, "max-count is 2"},
      {{.count = 1, .bytes = 6_GiB + 1, .free_bytes = 100_GiB}, "max-size is 10 GiB"},
      {{.count = 1, .bytes = 99_GiB, .free_bytes = 100_GiB}, "max-size is 10 GiB"},
      {{.count = 0, .bytes = 0, .free_bytes = 5_GiB - 1}, "keep-free leaves 1 GiB alone"},
      {{.count = 0, .bytes = 0, .free_bytes = 0}, "keep-free leaves 1 GiB alone"},
  };
  for (const auto& row : rows) {
    const auto room = room_for_core(row.usage, 4_GiB, policy);
    EXPECT_EQ(room.has_value(), row.complaint.empty()) << row.complaint;
    if (room) continue;
    EXPECT_EQ(room.error().code(), ErrorCode::kNoSpace);
    EXPECT_THAT(room.error().what(), HasSubstr(row.complaint));
  }
}

}  // namespace
}  // namespace hadump
