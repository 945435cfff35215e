// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/text.h"

#include <gtest/gtest.h>

#include "core/base/units.h"

namespace hadump {
namespace {

TEST(ParseSize, KnowsUnitsAndHex) {
  EXPECT_EQ(parse_size("256M").value(), 256_MiB);
  EXPECT_EQ(parse_size("1GiB").value(), 1_GiB);
  EXPECT_EQ(parse_size("0x1000").value(), 4096U);
  EXPECT_EQ(parse_size("7").value(), 7U);
}

TEST(ParseSize, RefusesWhatIsNotASize) {
  for (const char* text : {"", "M", "-1", "1.5G", "1 G", "99999999999999999999", "16777216T", "0x"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(ParseHex, TakesThePrefixOrNot) {
  EXPECT_EQ(parse_hex("0xff").value(), 255U);
  EXPECT_EQ(parse_hex("ff").value(), 255U);
  EXPECT_FALSE(parse_hex("0xfg"));
  EXPECT_FALSE(parse_hex("10000000000000000"));
}

TEST(FormatSize, ScalesByPowersOf1024) {
  EXPECT_EQ(format_size(512), "512 B");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size(256_MiB), "256 MiB");
}

}  // namespace
}  // namespace hadump
