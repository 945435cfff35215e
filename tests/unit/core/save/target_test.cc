// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/target.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

using testing::ElementsAre;

TEST(Target, NamesFilesInADirectoryByHostAndTime) {
  EXPECT_EQ(dump_directory_name({"web 1/..", 1'000'000'000, "id"}), "web_1_..-20010909T014640");
  EXPECT_EQ(dump_directory_name({"", 0, "id"}), "hadump-id");
  EXPECT_EQ(dump_directory_name({".x", ~0ULL, "id"}), "_x-id");
  const TemporaryDirectory dir;
  const auto target = resolve_target({dir / "new/"}, {"h", 0, "id"});
  ASSERT_TRUE(target);
  EXPECT_THAT(target->files, ElementsAre(dir / "new/h-id/vmcore"));
  EXPECT_EQ(target->log_file, dir / "new/h-id/dmesg.txt");
  const auto mode = std::filesystem::status(dir / "new/h-id").permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_all);
}

TEST(Target, TakesFilesAsTheyAre) {
  const auto target = resolve_target({"/a/x", "/b/y"}, {});
  ASSERT_TRUE(target);
  EXPECT_THAT(target->files, ElementsAre("/a/x", "/b/y"));
  EXPECT_EQ(target->log_file, "/a/x-dmesg.txt");
  EXPECT_TRUE(resolve_target({"-"}, {})->is_stream());
  EXPECT_FALSE(resolve_target({"-", "x"}, {}));
  EXPECT_FALSE(resolve_target({"a\nb"}, {}));
  EXPECT_FALSE(resolve_target({}, {}));
}

}  // namespace
}  // namespace hadump
