// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_save.h"

#include <gmock/gmock.h>

namespace hadump {
namespace {

using testing::ElementsAre;

TEST(ParseSave, TakesWhatTheManualPageSays) {
  const auto save = parse_save({"--to", "a", "b", "--format", "kdump", "--compress", "zstd:-3",
                                "--dump-level", "1,31", "--threads", "2", "--portion", "64M",
                                "--no-release", "--progress", "json"});
  ASSERT_TRUE(save) << save.error().what();
  EXPECT_THAT(save->save.to, ElementsAre("a", "b"));
  EXPECT_THAT(save->save.levels, ElementsAre(1U, 31U));
  EXPECT_EQ(save->save.codec.level, -3);
  EXPECT_EQ(save->save.portion_bytes, 64_MiB);
  EXPECT_FALSE(save->save.release);
  EXPECT_EQ(parse_save({"--to", "-"})->save.format, find_output_format("flattened"));
}

TEST(ParseSave, RefusesWhatCannotBeMeant) {
  using Args = std::vector<std::string>;
  for (const Args& bad : {Args{},
                          Args{"--to", "a", "--dump-level", "32"},
                          Args{"--to", "a", "--dump-level", "1,"},
                          Args{"--to", "a", "--dump-level", "-1"},
                          Args{"--to", "a", "b", "--format", "elf"},
                          Args{"--to", "-", "--format", "elf"},
                          Args{"--to", "a", "--format", "flattened"},
                          Args{"--to", "a", "--ack-fd", "3"},
                          Args{"--to", "a", "--portion", "0"},
                          Args{"--to", "a", "--format", "elf", "--compress", "lzo"},
                          Args{"--to", "a", "--format", "elf", "--compress", "auto"},
                          Args{"--to", "a", "--no"},
                          Args{"--to", "a", "--compress", "rar"},
                          Args{"--to", "a", "--threads", "100000"},
                          Args{"--to", "root@backup:/var/crash"},
                          Args{"--to", "nfs:server:/x"},
                          Args{"--to", "ssh://host/x"},
                          Args{"--to", "host:a/b"},
                          Args{"--to", "host:", "/var/crash"},
                          Args{"--to", "host:", "--format", "elf"}})
    EXPECT_FALSE(parse_save(bad)) << testing::PrintToString(bad);
}

TEST(ParseSave, TakesAFormatThatIsNotCompressed) {
  EXPECT_TRUE(parse_save({"--to", "a", "--format", "elf"}));
  EXPECT_TRUE(parse_save({"--to", "a", "--format", "elf", "--compress", "none"}));
}

TEST(ParseSave, TakesTheHost) {
  const auto save = parse_save({"--to", "host:vmcore"});
  ASSERT_TRUE(save) << save.error().what();
  EXPECT_TRUE(save->save.to_host);
  EXPECT_EQ(save->host_name, "vmcore");
  EXPECT_EQ(save->save.format, find_output_format("flattened"));
  EXPECT_TRUE(parse_save({"--to", "host:"})->save.to_host);
  EXPECT_FALSE(parse_save({"--to", "-"})->save.to_host);
}

TEST(ParseSave, TakesAColonInAFileName) {
  for (const char* path : {"./host:path", "/var/crash/12:00"})
    EXPECT_TRUE(parse_save({"--to", path})) << path;
}

}  // namespace
}  // namespace hadump
