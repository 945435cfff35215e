// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/target.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

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
  const auto target = resolve_target({dir / "new/"}, {"h", 0, "id"}, {true});
  ASSERT_TRUE(target);
  EXPECT_THAT(paths_of(target->files), ElementsAre(dir / "new/h-id/vmcore"));
  EXPECT_EQ(target->log_file->path(), dir / "new/h-id/dmesg.txt");
  const auto mode = std::filesystem::status(dir / "new/h-id").permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_all);
}

TEST(Target, TakesFilesAsTheyAre) {
  const TemporaryDirectory a, b;
  const auto target = resolve_target({a / "x", b / "y"}, {}, {});
  ASSERT_TRUE(target);
  EXPECT_THAT(paths_of(target->files), ElementsAre(a / "x", b / "y"));
  EXPECT_EQ(target->log_file->path(), a / "x-dmesg.txt");
  EXPECT_EQ(resolve_target({a / "new/x"}, {}, {}).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(resolve_target({"-"}, {}, {})->is_stream());
  EXPECT_FALSE(resolve_target({"-", "x"}, {}, {}));
  EXPECT_FALSE(resolve_target({"a\nb"}, {}, {}));
  EXPECT_FALSE(resolve_target({}, {}, {}));
}

TEST(Target, IsNoDeviceAndNoPipe) {
  const TemporaryDirectory dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  for (const std::string& path : {std::string("/dev/null"), dir / "pipe"})
    EXPECT_EQ(check_target({path}, {}).error().code(), ErrorCode::kBadData) << path;
}

// What is made on the way is nobody else's, whatever the caller's umask.
TEST(Target, MakesDirectoriesOfItsOwn) {
  const TemporaryDirectory dir;
  const mode_t before = ::umask(0);
  const auto target = resolve_target({dir / "a/b/"}, {"h", 0, "id"}, {true});
  ::umask(before);
  ASSERT_TRUE(target);
  for (const char* name : {"a", "a/b", "a/b/h-id"})
    EXPECT_EQ(std::filesystem::status(dir / name).permissions(), std::filesystem::perms::owner_all)
        << name;
}

// A finished dump could be taken away, and another one planted.
TEST(Target, IsNotWhereOthersCanChangeIt) {
  const TemporaryDirectory dir;
  std::filesystem::create_directories(dir / "open/sub");
  std::filesystem::permissions(dir / "open", std::filesystem::perms::all);
  for (const char* to : {"open", "open/new/", "open/sub/", "open/file"}) {
    const auto target = resolve_target({dir / to}, {"h", 0, "id"}, {true});
    ASSERT_FALSE(target) << to;
    EXPECT_EQ(target.error().code(), ErrorCode::kBadData);
    EXPECT_THAT(target.error().what(), testing::HasSubstr((dir / "open") + " can be changed"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir / "open/sub"));
  EXPECT_TRUE(resolve_target({dir / "open"}, {"h", 0, "id"}, {}));
  std::filesystem::remove_all(dir / "open/h-id");
  // In a sticky one, what we have made is ours.
  ASSERT_EQ(::chmod((dir / "open").c_str(), 01777), 0);
  EXPECT_TRUE(resolve_target({dir / "open"}, {"h", 0, "id"}, {true}));
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown((dir / "open/h-id").c_str(), 65534, 65534), 0);
  EXPECT_FALSE(resolve_target({dir / "open"}, {"h", 0, "id"}, {true}));
}

}  // namespace
}  // namespace hadump
