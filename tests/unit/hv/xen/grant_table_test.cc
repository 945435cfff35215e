// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/grant_table.h"

#include <gtest/gtest.h>

#include <array>

namespace hadump {
namespace {

constexpr std::uint16_t kMapped = GTF_permit_access | GTF_reading | GTF_writing;
constexpr std::uint16_t kMappedReadOnly = GTF_permit_access | GTF_readonly | GTF_reading;

TEST(WithdrawGrants, LeavesNoneAndSaysWhoHasMappedSome) {
  std::array<grant_entry_v1_t, 16> table{};
  table[0] = {kMapped, 0, 0xfeffc};           // the console's
  table[8] = {GTF_permit_access, 3, 0x1234};  // granted, but nobody has mapped it
  table[9] = {kMapped, 3, 0x1235};
  table[12] = {kMappedReadOnly, 3, 0x1236};
  table[15] = {kMapped, 5, 0x1237};

  const auto held = withdraw(table);

  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].domid, 3U);
  EXPECT_EQ(held[0].frames, (FrameSet{{Gfn{0x1235}, Gfn{0x1237}}}));
  EXPECT_EQ(held[0].writable, (FrameSet{{Gfn{0x1235}, Gfn{0x1236}}}));
  EXPECT_EQ(held[1].domid, 5U);
  EXPECT_EQ(held[1].frames, (FrameSet{{Gfn{0x1237}, Gfn{0x1238}}}));
  EXPECT_EQ(table[0].flags, kMapped) << "it belongs to the toolstack";
  for (std::size_t i = kReservedGrants; i < table.size(); ++i)
    EXPECT_EQ(table[i].flags & GTF_type_mask, GTF_invalid) << i;

  EXPECT_EQ(withdraw(table).size(), 2U) << "for an agent after us, that has to know";
  table[9].flags = table[12].flags = 0;  // Xen, when domain 3 lets go
  EXPECT_EQ(withdraw(table).size(), 1U);
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
  status[1] = GTF_reading | GTF_writing;
  table[10].hdr = {GTF_permit_access, 4};
  table[10].full_page.frame = 0x4321;
  status[10] = GTF_reading;
  table[11].hdr = {GTF_permit_access, 4};
  status[14] = GTF_writing;  // of no grant: what a guest writes there is not believed

  const auto held = withdraw(table, status);

  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].domid, 4U);
  EXPECT_EQ(held[0].frames, (FrameSet{{Gfn{0x4321}, Gfn{0x4322}}}));
  EXPECT_TRUE(held[0].writable.empty());
  EXPECT_EQ(table[1].hdr.flags, GTF_permit_access);
  EXPECT_EQ(table[11].hdr.flags, 0);
  EXPECT_TRUE(withdraw(table, status).empty());
}

TEST(WithdrawGrants, AnEmptyTableHasNone) {
  EXPECT_TRUE(withdraw(std::span<grant_entry_v1_t>()).empty());
  EXPECT_TRUE(withdraw(std::span<grant_entry_v2_t>(), {}).empty());
}

}  // namespace
}  // namespace hadump
