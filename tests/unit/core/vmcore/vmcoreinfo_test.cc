// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/vmcoreinfo.h"

#include <gtest/gtest.h>

namespace hadump {
namespace {

Vmcoreinfo parsed(std::string_view text) {
  auto info = Vmcoreinfo::parse(text);
  EXPECT_TRUE(info) << info.error().what();
  return info ? *info : Vmcoreinfo();
}

TEST(Vmcoreinfo, ReadsEveryKindOfValue) {
  const Vmcoreinfo info = parsed(
      "OSRELEASE=6.1.0-56-amd64\nSYMBOL(prb)=ffffffffa4e1f6d0\nSIZE(page)=64\n"
      "OFFSET(page.flags)=0\nLENGTH(zone.free_area)=11\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
      "NUMBER(VA_BITS)=0x30\nKERNELOFFSET=22200000\n");
  EXPECT_EQ(info.text("OSRELEASE"), "6.1.0-56-amd64");
  EXPECT_EQ(info.symbol("prb"), GuestVirt{0xffffffffa4e1f6d0});
  EXPECT_EQ(info.size("page"), 64u);
  EXPECT_EQ(info.offset("page.flags"), 0u);
  EXPECT_EQ(info.length("zone.free_area"), 11u);
  EXPECT_EQ(info.number("PAGE_BUDDY_MAPCOUNT_VALUE"), -129);
  EXPECT_EQ(info.number("VA_BITS"), 0x30);
  EXPECT_EQ(info.hex("KERNELOFFSET"), 0x22200000u);
  EXPECT_EQ(info.size("zone"), std::nullopt);
}

TEST(Vmcoreinfo, MalformedNumbersAreMissing) {
  const Vmcoreinfo info = parsed(
      "SIZE(a)=\nSIZE(b)=12x\nSIZE(c)=99999999999999999999\nSIZE(d)=-1\nSYMBOL(e)=0xzz\n"
      "NUMBER(f)=0x\nno equals sign\n=no key\n");
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_EQ(info.size(name), std::nullopt) << name;
  EXPECT_EQ(info.symbol("e"), std::nullopt);
  EXPECT_EQ(info.number("f"), std::nullopt);
}

// The note is a fixed page; what follows the text is zero.
TEST(Vmcoreinfo, EndsAtTheFirstNul) {
  const Vmcoreinfo info = parsed(std::string_view("A=1\nB=2\0C=3\n", 12));
  EXPECT_EQ(info.text("B"), "2");
  EXPECT_EQ(info.text("C"), std::nullopt);
}

TEST(Vmcoreinfo, RefusesNothingAndTooMuch) {
  EXPECT_EQ(Vmcoreinfo::parse("").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Vmcoreinfo::parse(std::string(kMaxVmcoreinfoBytes + 1, 'x')).error().code(),
            ErrorCode::kBadData);
  std::string many;
  for (std::size_t i = 0; i <= kMaxVmcoreinfoKeys; ++i) many += std::to_string(i) + "=\n";
  EXPECT_EQ(Vmcoreinfo::parse(many).error().code(), ErrorCode::kBadData);
}

}  // namespace
}  // namespace hadump
