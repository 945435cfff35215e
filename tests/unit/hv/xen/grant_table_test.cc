// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/grant_table.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <vector>

namespace hadump {
namespace {

constexpr std::uint16_t kMapped = GTF_permit_access | GTF_reading | GTF_writing;
constexpr std::uint16_t kMappedReadOnly = GTF_permit_access | GTF_readonly | GTF_reading;

constexpr std::array<unsigned, 4> kDomids{0, 3, 4, 5};
constexpr RingFrames kRings{0xfeffc, 0xfeffd};

TEST(WithdrawGrants, LeavesNoneAndSaysWhoHasMappedSome) {
  std::array<grant_entry_v1_t, 16> table{};
  table[0] = {kMapped, 0, 0xfeffc};           // the console's
  table[1] = {kMapped, 0, 0xfeffd};           // xenstore's
  table[2] = {kMapped, 5, 0x1238};            // reserved, but nobody's
  table[8] = {GTF_permit_access, 3, 0x1234};  // granted, but nobody has mapped it
  table[9] = {kMapped, 3, 0x1235};
  table[12] = {kMappedReadOnly, 3, 0x1236};
  table[15] = {kMapped, 5, 0x1237};

  const auto found = withdraw(table, kRings);
  const auto held = held_by_domain(found, kDomids);

  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].domid, 3U);
  EXPECT_EQ(held[0].frames, (FrameSet{{Gfn{0x1235}, Gfn{0x1237}}}));
  EXPECT_EQ(held[0].writable, (FrameSet{{Gfn{0x1235}, Gfn{0x1236}}}));
  EXPECT_EQ(held[1].domid, 5U);
  EXPECT_EQ(held[1].frames, (FrameSet{{Gfn{0x1237}, Gfn{0x1239}}}));
  for (const std::size_t i : {0, 1})
    EXPECT_EQ(table[i].flags, kMapped) << "it belongs to the toolstack";
  for (std::size_t i = kRings.size(); i < table.size(); ++i)
    EXPECT_EQ(table[i].flags & GTF_type_mask, GTF_invalid) << i;

  EXPECT_EQ(withdraw(table, kRings), found) << "for an agent after us, that has to know";
  table[9].flags = table[12].flags = 0;  // Xen, when domain 3 lets go
  EXPECT_EQ(held_by_domain(withdraw(table, kRings), kDomids).size(), 1U);
}

// The first two entries are the guest's to write as well.
TEST(WithdrawGrants, TheToolstacksEntriesGrantItsRingsOrNothing) {
  std::array<grant_entry_v1_t, 8> table{};
  table[0] = {kMapped, 0, 0xfeffc};
  table[1] = {kMapped, 5, 0x1234};
  EXPECT_EQ(withdraw(table, kRings), (std::vector<HeldFrame>{{5, 0x1234, true}}));
  EXPECT_EQ(table[0].flags, kMapped);
  EXPECT_EQ(table[1].flags & GTF_type_mask, GTF_invalid);

  std::array<grant_entry_v2_t, 8> second{};
  second[0].hdr = {GTF_permit_access, 5};
  second[0].full_page.frame = 0x1234;
  EXPECT_TRUE(withdraw(second, {}, kRings).empty());
  EXPECT_EQ(second[0].hdr.flags, 0);
}

TEST(WritableGrants, AreWhatOthersMayWriteToWhetherOrNotTheyHaveMappedIt) {
  std::array<grant_entry_v1_t, 16> table{};
  table[0] = {kMapped, 0, 0xfeffc};           // the console's counts, too
  table[9] = {GTF_permit_access, 3, 0x1236};  // granted, but nobody has mapped it
  table[10] = {kMapped, 3, 0x1235};
  table[11] = {kMappedReadOnly, 3, 0x1237};
  table[12] = {GTF_invalid | GTF_reading | GTF_writing, 3, 0x10};  // withdrawn, but still mapped
  table[13] = {GTF_accept_transfer, 3, 0x11};
  table[14] = {GTF_permit_access, 3, 0xffffffff};  // a guest may write anything

  EXPECT_EQ(writable_grants(table), (FrameSet{{Gfn{0x10}, Gfn{0x11}},
                                              {Gfn{0x1235}, Gfn{0x1237}},
                                              {Gfn{0xfeffc}, Gfn{0xfeffd}},
                                              {Gfn{0xffffffff}, Gfn{0x100000000}}}));
  EXPECT_EQ(table[9].flags, GTF_permit_access) << "nothing is changed";
}

TEST(WritableGrants, OfTheSecondVersion) {
  std::array<grant_entry_v2_t, 16> table{};
  std::array<grant_status_t, 16> status{};
  table[8].hdr = {GTF_permit_access, 4};
  table[8].full_page.frame = 0x20;
  table[9].hdr = {GTF_permit_access | GTF_readonly, 4};
  table[9].full_page.frame = 0x30;
  table[10].hdr = {GTF_permit_access | GTF_sub_page, 4};
  table[10].sub_page.frame = 0x40;
  table[11].hdr = {GTF_invalid, 4};
  table[11].full_page.frame = 0x50;
  status[11] = GTF_writing;
  table[12].hdr = {GTF_transitive, 4};
  EXPECT_EQ(writable_grants(table, status),
            (FrameSet{{Gfn{0x20}, Gfn{0x21}}, {Gfn{0x40}, Gfn{0x41}}, {Gfn{0x50}, Gfn{0x51}}}));
}

TEST(WithdrawGrants, ReadsTheSecondVersionsStatus) {
  std::array<grant_entry_v2_t, 16> table{};
  std::array<grant_status_t, 16> status{};
  table[1].hdr = {GTF_permit_access, 0};
  table[1].full_page.frame = kRings[1];
  status[1] = GTF_reading | GTF_writing;
  table[10].hdr = {GTF_permit_access, 4};
  table[10].full_page.frame = 0x4321;
  status[10] = GTF_reading;
  table[11].hdr = {GTF_permit_access, 4};
  table[12].hdr = {GTF_invalid, 5};  // Linux has taken it back, and found that it is in use
  table[12].full_page.frame = 0x4322;
  status[12] = GTF_reading | GTF_writing;

  const auto held = withdraw(table, status, kRings);

  EXPECT_EQ(held, (std::vector<HeldFrame>{{4, 0x4321, false}, {5, 0x4322, true}}));
  EXPECT_EQ(table[1].hdr.flags, GTF_permit_access);
  EXPECT_EQ(table[10].hdr.flags, 0);
  EXPECT_EQ(table[11].hdr.flags, 0);
  EXPECT_EQ(withdraw(table, status, kRings), held) << "for an agent after one that was killed here";
  status[10] = status[12] = 0;  // Xen, when they let go
  EXPECT_TRUE(withdraw(table, status, kRings).empty());
}

TEST(HeldByDomain, KnowsNoDomainsThatAreNotThere) {
  const auto held = held_by_domain(
      {{7, 1, true}, {4, 9, true}, {0x7ff0, 2, true}, {4, 9, false}, {4, 8, false}, {0, 3, false}},
      kDomids);
  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].domid, 0U);
  EXPECT_EQ(held[1].domid, 4U);
  EXPECT_EQ(held[1].frames, (FrameSet{{Gfn{8}, Gfn{10}}}));
  EXPECT_EQ(held[1].writable, (FrameSet{{Gfn{9}, Gfn{10}}}));
}

// Of 64 pages, all of it written by the guest: a domain for each entry, or frames in an order that
// would have each one inserted before all others.
TEST(HeldByDomain, AForgedTableCostsLittleMoreThanALongOne) {
  constexpr std::uint32_t kEntries = 64 * kFrameSize / sizeof(grant_entry_v1_t);
  std::vector<unsigned> domids(kEntries);
  std::iota(domids.begin(), domids.end(), 0U);
  for (const bool one_domain : {false, true}) {
    std::vector<grant_entry_v1_t> table(kEntries);
    for (std::uint32_t i = 0; i < kEntries; ++i)
      table[i] = {kMapped, static_cast<domid_t>(one_domain ? 3 : kEntries - 1 - i),
                  2 * (kEntries - i)};
    std::uint64_t steps = 0;
    const auto held = held_by_domain(withdraw(table, kRings), domids, &steps);
    EXPECT_EQ(held.size(), one_domain ? 1 : kEntries);
    EXPECT_LT(steps, kEntries * 40U) << "n log n, and no more";
    if (one_domain) {
      EXPECT_EQ(held.front().frames.ranges().size(), kEntries);
    }
  }
}

TEST(WithdrawGrants, AnEmptyTableHasNone) {
  EXPECT_TRUE(withdraw(std::span<grant_entry_v1_t>(), kRings).empty());
  EXPECT_TRUE(withdraw(std::span<grant_entry_v2_t>(), {}, kRings).empty());
}

}  // namespace
}  // namespace hadump
