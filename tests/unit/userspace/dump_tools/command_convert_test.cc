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

TEST(ParseConvert, WritesFilesOfThisSystem) {
  for (const char* target : {"root@host:/x", "nfs:server:/x", "ssh://host/x", "host:x"}) {
    const auto refused = parse_convert({"in", target});
    ASSERT_FALSE(refused) << target;
    EXPECT_THAT(refused.error().what(), testing::HasSubstr("names another system")) << target;
    EXPECT_THAT(refused.error().what(), testing::HasSubstr("convert IN - | ssh HOST")) << target;
  }
  EXPECT_TRUE(parse_convert({"in", "./host:x"}));
  EXPECT_TRUE(parse_convert({"host:x", "out"}));
}

TEST(ParseConvert, RefusesACodecForAFormatWithoutCompression) {
  const auto refused = parse_convert({"in", "out", "--format", "elf", "--compress", "zstd"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what(), testing::HasSubstr("the format elf is not compressed"));
  EXPECT_TRUE(parse_convert({"in", "out", "--format", "elf", "--compress", "none"}));
  EXPECT_TRUE(parse_convert({"in", "out", "--format", "elf"}));
}

TEST(ParseConvert, KnowsWhatMakedumpfileCallsItsOptions) {
  const std::pair<const char*, const char*> hints[] = {
      {"-c", "--compress zlib"}, {"-l", "--compress lzo"}, {"-d", "--dump-level"},
      {"-E", "--format elf"},    {"-x", "--vmcoreinfo"},   {"--num-threads", "--threads"}};
  for (const auto& [theirs, ours] : hints) {
    const auto refused = parse_convert({theirs, "in", "out"});
    ASSERT_FALSE(refused) << theirs;
    EXPECT_THAT(refused.error().what(), testing::HasSubstr(ours)) << theirs;
  }
}

}  // namespace
}  // namespace hadump
