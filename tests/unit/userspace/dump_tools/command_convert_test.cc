// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_convert.h"

#include <gmock/gmock.h>

namespace hadump {
namespace {

using testing::ElementsAre;

TEST(ParseConvert, IsASaveFromAFile) {
  const auto convert = parse_convert({"in", "out", "--format", "elf"});
  ASSERT_TRUE(convert);
  EXPECT_TRUE(convert->save.vmcore_given);
  EXPECT_THAT(convert->save.vmcore, ElementsAre("in"));
  EXPECT_THAT(convert->save.to, ElementsAre("out"));
  EXPECT_FALSE(parse_convert({"in"}));
  EXPECT_FALSE(parse_convert({"in", "out", "more"}));
  EXPECT_FALSE(parse_convert({"in", "out", "--no-release"}));  // Nothing is held of a file.
  const auto mixed = parse_convert({"--format", "elf", "in", "--dump-level=31", "out"});
  ASSERT_TRUE(mixed) << mixed.error().what();
  EXPECT_EQ(mixed->save.to, std::vector<std::string>{"out"});
  EXPECT_EQ(mixed->save.vmcore, std::vector<std::string>{"in"});
  EXPECT_EQ(mixed->save.format, find_output_format("elf"));
  EXPECT_EQ(mixed->save.levels, std::vector<unsigned>{31});
  const auto piped = parse_convert({"in", "-"});
  ASSERT_TRUE(piped) << piped.error().what();
  EXPECT_EQ(piped->save.format, find_output_format("flattened"));
}

}  // namespace
}  // namespace hadump
