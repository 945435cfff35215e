// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/pv_page_table.h"

#include <gtest/gtest.h>

#include <array>

namespace hadump {
namespace {

constexpr std::uint64_t kNx = std::uint64_t{1} << 63;

// Machine frames 0x100 to 0x10f are the guest's frames 0 to 0xf.
std::optional<Gfn> sixteen_frames(std::uint64_t mfn) {
  if (mfn < 0x100 || mfn > 0x10f) return std::nullopt;
  return Gfn{mfn - 0x100};
}

std::array<std::uint64_t, 512> renumbered(std::size_t at, std::uint64_t entry, unsigned level) {
  std::array<std::uint64_t, 512> entries{};
  entries[at] = entry;
  to_guest_frames(entries, level, sixteen_frames);
  return entries;
}

TEST(PvPageTable, GetsGuestFramesAndKeepsItsFlags) {
  EXPECT_EQ(renumbered(0, 0x10a067, 1)[0], 0xa067U);
  EXPECT_EQ(renumbered(511, kNx | 0x10f163, 2)[511], kNx | 0xf163);
  EXPECT_EQ(renumbered(7, 0x7ff0000000100063, 3)[7], 0x7ff0000000000063U);  // software's bits
}

TEST(PvPageTable, LosesWhatIsNotTheGuests) {
  EXPECT_EQ(renumbered(3, 0x200067, 1)[3], 0U);
  EXPECT_EQ(renumbered(3, 0x000ffffffffff067, 1)[3], 0U);
}

// Linux keeps swap entries in those.
TEST(PvPageTable, KeepsEntriesThatAreNotPresent) {
  EXPECT_EQ(renumbered(3, 0x200066, 1)[3], 0x200066U);
}

TEST(PvPageTable, LosesTheHypervisorsPartOfATopLevel) {
  EXPECT_EQ(renumbered(255, 0x101067, 4)[255], 0x1067U);
  EXPECT_EQ(renumbered(256, 0x101067, 4)[256], 0U);
  EXPECT_EQ(renumbered(258, 0x101066, 4)[258], 0U);
  EXPECT_EQ(renumbered(271, 0x101067, 4)[271], 0U);
  EXPECT_EQ(renumbered(272, 0x101067, 4)[272], 0x1067U);
  EXPECT_EQ(renumbered(256, 0x101067, 3)[256], 0x1067U);
}

}  // namespace
}  // namespace hadump
