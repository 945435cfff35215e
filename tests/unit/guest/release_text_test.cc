// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

extern "C" {
#include "release_text.h"
}

namespace hadump {
namespace {

TEST(ParseRange, TakesTwoHexadecimalNumbers) {
  const struct {
    const char* text;
    u64 start, length;
  } rows[] = {
      {"0x10000000 0x8000000", 0x10000000, 0x8000000},
      {"10000000 8000000\n", 0x10000000, 0x8000000},
      {"0XaBcDeF 0x0", 0xabcdef, 0},
      {"0 0", 0, 0},
      {"0x0 ffffffffffffffff", 0, ~0ULL},
      {"0x000000000000000000001000 1000", 0x1000, 0x1000},
  };
  for (const auto& row : rows) {
    u64 start = 1, length = 1;
    EXPECT_EQ(0, hadump_parse_range(row.text, &start, &length)) << row.text;
    EXPECT_EQ(row.start, start) << row.text;
    EXPECT_EQ(row.length, length) << row.text;
  }
}

TEST(ParseRange, RefusesEverythingElse) {
  const char* const texts[] = {
      "",
      " ",
      "\n",
      "0x1000",
      "0x1000 ",
      "0x1000 \n",
      " 0x1000 0x1000",
      "0x1000  0x1000",
      "0x1000\t0x1000",
      "0x1000\n0x1000",
      "0x1000 0x1000 ",
      "0x1000 0x1000\n\n",
      "0x1000 0x1000\n0x2000 0x1000",
      "0x1000 0x1000 0x1000",
      "0x1000-0x1000",
      "-0x1000 0x1000",
      "0x1000 +0x1000",
      "0x 0x1000",
      "0x1000 0x",
      "x 0x1000",
      "0x0x1000 0x1000",
      "0xg000 0x1000",
      "1000g 1000",
      "0x10000000000000000 0x1000",
      "0x1000 0x11111111111111111",
  };
  for (const char* text : texts) {
    u64 start = 0, length = 0;
    EXPECT_EQ(-EINVAL, hadump_parse_range(text, &start, &length)) << '"' << text << '"';
  }
}

}  // namespace
}  // namespace hadump
