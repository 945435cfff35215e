// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/hvm_guest.h"

#include <gtest/gtest.h>

#include "core/abi/hadump_abi.h"
#include "hv/domain/guest_kinds.h"

namespace hadump {
namespace {

TEST(HvmGuest, ItsRamIsWhereverItMayBe) {
  EXPECT_EQ(*hvm_ram(512_MiB), (FrameSet{FrameRange{Gfn{0}, Gfn{0x20000}}}));
  // A hole as large as mmio_hole= allows leaves the low 2 GiB.
  EXPECT_EQ(*hvm_ram(3_GiB), (FrameSet{{Gfn{0}, Gfn{0xc0000}}, {Gfn{0x100000}, Gfn{0x140000}}}));
  EXPECT_EQ(*hvm_ram(8_GiB), (FrameSet{{Gfn{0}, Gfn{0xf0000}}, {Gfn{0x100000}, Gfn{0x280000}}}));
}

TEST(HvmGuest, HasLimits) {
  EXPECT_FALSE(hvm_ram(0));
  EXPECT_FALSE(hvm_ram(512_MiB + 1));
  EXPECT_FALSE(hvm_ram(HADUMP_MAX_ADDRESS));
}

TEST(GuestKinds, AreFoundByTheirTypes) {
  ASSERT_NE(find_guest_kind("hvm"), nullptr);
  EXPECT_FALSE(find_guest_kind("hvm")->boots_in_place);
  ASSERT_NE(find_guest_kind("pvh"), nullptr);
  EXPECT_TRUE(find_guest_kind("pvh")->boots_in_place);
  ASSERT_NE(find_guest_kind("pv"), nullptr);
  EXPECT_FALSE(find_guest_kind("pv")->boots_in_place);
  EXPECT_EQ(find_guest_kind("arm"), nullptr);
}

}  // namespace
}  // namespace hadump
