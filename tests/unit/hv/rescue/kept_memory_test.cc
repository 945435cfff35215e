// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/kept_memory.h"

#include <gtest/gtest.h>

#include "tests/fakes/in_memory_domain.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

constexpr std::uint64_t kFull = 512 << 10;
constexpr std::uint64_t kRaised = kFull + (300 << 10);

// Save area added: the limit was raised, the target was the full size already.
DomainRecord waiting() {
  DomainRecord record;
  record.step = Step::kStarted;
  record.old_limit_kib = kFull + 1024;
  record.raised_limit_kib = kRaised;
  return record;
}

TEST(KeptMemoryTest, NothingToDoWhenNobodyHasChangedAnything) {
  DomainRecord record = waiting();
  EXPECT_FALSE(note_memory_wish(record, kFull, kRaised, kFull));
  EXPECT_FALSE(note_memory_wish(record, kFull, kRaised + 5, kFull)) << "more is no harm";
  EXPECT_FALSE(note_memory_wish(record, kFull, 0, 0)) << "what is not known";
  EXPECT_EQ(record.old_limit_kib, kFull + 1024);
  EXPECT_EQ(record.raised_target_kib, 0U);
}

// xl mem-set 400m sets both.
TEST(KeptMemoryTest, ALowerTargetIsRememberedAndUndone) {
  DomainRecord record = waiting();
  const std::uint64_t wish = 400 << 10;
  ASSERT_TRUE(note_memory_wish(record, kFull, wish + 1024, wish));
  EXPECT_EQ(record.old_limit_kib, wish + 1024);
  EXPECT_EQ(record.raised_limit_kib, kRaised);
  EXPECT_EQ(record.old_target_kib, wish);
  EXPECT_EQ(record.raised_target_kib, kFull);

  InMemoryGuest guest;
  InMemoryGuestStore store;
  InMemoryRecordStore records;
  ASSERT_TRUE(restore_memory(guest, store, records, record));
  EXPECT_EQ(guest.limit_kib(), kRaised);
  EXPECT_EQ(store.target_kib, kFull);
  ASSERT_EQ(records.saved.size(), 1U);
  EXPECT_EQ(records.saved[0].old_target_kib, wish);
  EXPECT_FALSE(note_memory_wish(record, kFull, guest.limit_kib(), store.target_kib));
}

TEST(KeptMemoryTest, TheLastWishCounts) {
  DomainRecord record = waiting();
  ASSERT_TRUE(note_memory_wish(record, kFull, (400 << 10) + 1024, 400 << 10));
  ASSERT_TRUE(note_memory_wish(record, kFull, (300 << 10) + 1024, 300 << 10));
  EXPECT_EQ(record.old_target_kib, 300U << 10);
  // And the full size again: the target is what it must be, the limit is not.
  ASSERT_TRUE(note_memory_wish(record, kFull, kFull + 1024, kFull));
  EXPECT_EQ(record.raised_target_kib, 0U);
  EXPECT_EQ(record.old_limit_kib, kFull + 1024);
}

// xl mem-max leaves the target alone, so what was asked for before still counts.
TEST(KeptMemoryTest, AnotherLimitIsNoOtherTarget) {
  DomainRecord record = waiting();
  record.old_target_kib = 400 << 10;
  record.raised_target_kib = kFull;
  ASSERT_TRUE(note_memory_wish(record, kFull, (600 << 10) + 1024, kFull));
  EXPECT_EQ(record.old_limit_kib, (600U << 10) + 1024);
  EXPECT_EQ(record.old_target_kib, 400U << 10);
  EXPECT_EQ(record.raised_target_kib, kFull);
}

// Nothing was added, so the limit is nobody's business but the administrator's.
TEST(KeptMemoryTest, ARegisteredSaveAreaNeedsTheTargetOnly) {
  DomainRecord record = waiting();
  record.mode = SaveMode::kRegistered;
  record.old_limit_kib = record.raised_limit_kib = 0;
  EXPECT_FALSE(note_memory_wish(record, kFull, 300 << 10, kFull));
  ASSERT_TRUE(note_memory_wish(record, kFull, 300 << 10, 299 << 10));
  InMemoryGuest guest;
  InMemoryGuestStore store;
  InMemoryRecordStore records;
  const std::uint64_t limit = guest.limit_kib();
  ASSERT_TRUE(restore_memory(guest, store, records, record));
  EXPECT_EQ(guest.limit_kib(), limit);
  EXPECT_EQ(store.target_kib, kFull);
}

}  // namespace
}  // namespace hadump
