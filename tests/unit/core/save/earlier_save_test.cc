// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/earlier_save.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "core/base/file.h"
#include "core/save/gone_frames.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

using testing::HasSubstr;

// However a user names it: as the target, as the partial file, or as the journal.
TEST(JournalOf, IsBesideTheTargetWhateverIsNamed) {
  for (const char* named : {"/d/vmcore", "/d/vmcore-incomplete", "/d/vmcore-incomplete.12",
                            "/d/.vmcore.hadump-journal"})
    EXPECT_EQ(journal_of(named), "/d/.vmcore.hadump-journal") << named;
  EXPECT_THAT(journal_of("vmcore"), testing::EndsWith("/.vmcore.hadump-journal"));
}

TEST(JournalOf, LooksAtTheEndOfTheFileNameOnly) {
  EXPECT_EQ(journal_of("/old-incomplete/vmcore"), "/old-incomplete/.vmcore.hadump-journal");
  EXPECT_EQ(journal_of("/old-incomplete/vmcore-incomplete"),
            "/old-incomplete/.vmcore.hadump-journal");
  EXPECT_EQ(journal_of("/d/some-incomplete-ones"), "/d/.some-incomplete-ones.hadump-journal");
  EXPECT_EQ(journal_of("/d/x-incomplete.gz"), "/d/.x-incomplete.gz.hadump-journal");
}

class EarlierSaves : public testing::Test {
 protected:
  /// A journal "d/.x.hadump-journal" of a whole dump that was not renamed to "x" before the crash.
  JournalContent content() const {
    JournalContent content;
    content.dump_id = kId;
    content.settings = "format=elf";
    content.files = {dir_ / "d/x-incomplete"};
    content.finals = {dir_ / "d/x"};
    content.frames = {{Gfn{0}, Gfn{100}}};
    content.steps = {{0, {{Gfn{0}, Gfn{50}}}}};
    return content;
  }
  void write(const JournalContent& content) const { ASSERT_TRUE(Journal::create(held_, content)); }
  void put(const std::string& name) const {
    ASSERT_TRUE(write_file_atomically(dir_ / name, "precious", 0600));
  }
  std::string reason() const {
    const auto saves = read_earlier_saves(journal_, kId);
    return saves ? "" : saves.error().what();
  }

  const std::string kId = std::string(32, 'a');
  TemporaryDirectory dir_;
  const bool made_ = std::filesystem::create_directory(dir_ / "d");
  const std::string journal_ = dir_ / "d/.x.hadump-journal";
  const HeldFile held_ = dir_.held("d/.x.hadump-journal");
};

// Of what was half published the names are put back: with a forged journal, anybody's files.
TEST_F(EarlierSaves, TouchNoFileThatTheirDumpIsNotCalled) {
  put("passwd");
  for (const char* name : {"passwd", "d/../passwd", "d/passwd", "d/"}) {
    JournalContent forged = content();
    forged.finals = {dir_ / name};
    forged.files = {dir_ / name + "-incomplete"};
    write(forged);
    EXPECT_THAT(reason(), HasSubstr("cannot be about")) << name;
    // Or as a second stripe.
    forged.finals = {dir_ / "d/x", dir_ / name};
    forged.files = {dir_ / "d/x-incomplete", dir_ / "d/passwd"};
    write(forged);
    EXPECT_THAT(reason(), HasSubstr("cannot be about")) << name;
    EXPECT_TRUE(std::filesystem::exists(dir_ / "passwd"));
  }
  JournalContent same = content();
  same.files = same.finals;
  write(same);
  EXPECT_THAT(reason(), HasSubstr("cannot be about"));
}

TEST_F(EarlierSaves, AreNotWhatOthersCanWrite) {
  put("d/x");
  write(content());
  ASSERT_EQ(::chmod(journal_.c_str(), 0666), 0);
  EXPECT_THAT(reason(), HasSubstr("can be changed by others"));
  ASSERT_EQ(::chmod(journal_.c_str(), 0600), 0);
  ASSERT_EQ(::chmod((dir_ / "d").c_str(), 0777), 0);
  EXPECT_THAT(reason(), HasSubstr("can be changed by others"));
  if (::geteuid() == 0) {
    ASSERT_EQ(::chmod((dir_ / "d").c_str(), 01777), 0);
    ASSERT_EQ(::chown(journal_.c_str(), 65534, 65534), 0);
    EXPECT_THAT(reason(), HasSubstr("belongs to user 65534"));
  }
  EXPECT_TRUE(std::filesystem::exists(dir_ / "d/x"));
}

// From "published" on, all memory may be released.
TEST_F(EarlierSaves, AreNotCompleteByAWord) {
  put("d/x");
  write(content());
  ASSERT_TRUE(Journal::reopen(held_, content())->set_published());
  EXPECT_THAT(reason(), HasSubstr("not all is durable"));
}

TEST_F(EarlierSaves, AreFoundWhereTheirDirectoryIsNow) {
  put("d/x-incomplete");
  put("d/y-incomplete.1");
  JournalContent moved = content();
  moved.files = {"/old place/x-incomplete", "/old place/y-incomplete.1"};
  moved.finals = {"/old place/x", "/old place/y"};
  write(moved);
  const auto saves = read_earlier_saves(journal_, kId);
  ASSERT_TRUE(saves) << saves.error().what();
  EXPECT_THAT(saves->front().content.files,
              testing::ElementsAre(dir_ / "d/x-incomplete", dir_ / "d/y-incomplete.1"));
  EXPECT_TRUE(check_its_files(saves->front()));
}

// In a sticky directory anybody can make the file that a journal of ours names.
class PlantedDumps : public EarlierSaves {
 protected:
  PlantedDumps() {
    EXPECT_EQ(::chmod((dir_ / "d").c_str(), 01777), 0);
    std::ofstream(dir_ / "precious") << "precious";
  }
  JournalContent all_durable() const {
    JournalContent all = content();
    all.durable = all.frames;
    all.steps = {{0, all.frames}};
    return all;
  }
};

TEST_F(PlantedDumps, AreNotTheFilesOfASave) {
  write(content());
  const auto has = [&] {
    const auto saves = read_earlier_saves(journal_, kId);
    return saves && check_its_files(saves->front());
  };
  EXPECT_FALSE(has());
  for (const char* target : {"/nonexistent", "../precious"}) {
    std::filesystem::create_symlink(target, dir_ / "d/x-incomplete");
    EXPECT_FALSE(has()) << target;
    std::filesystem::remove(dir_ / "d/x-incomplete");
  }
  put("d/x-incomplete");
  EXPECT_TRUE(has());
  ASSERT_EQ(::chmod((dir_ / "d/x-incomplete").c_str(), 0666), 0);
  EXPECT_FALSE(has());
  ASSERT_EQ(::chmod((dir_ / "d/x-incomplete").c_str(), 0600), 0);
  std::filesystem::create_hard_link(dir_ / "d/x-incomplete", dir_ / "d/second");
  EXPECT_FALSE(has());
  std::filesystem::remove(dir_ / "d/second");
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown((dir_ / "d/x-incomplete").c_str(), 65534, 65534), 0);
  EXPECT_FALSE(has());
}

// "Published" releases all memory.
TEST_F(PlantedDumps, DoNotMakeASaveComplete) {
  write(all_durable());
  const auto published = [&] {
    const auto saves = read_earlier_saves(journal_, kId);
    return saves && saves->front().content.published;
  };
  std::filesystem::create_symlink("/nonexistent", dir_ / "d/x");
  EXPECT_FALSE(published());
  std::filesystem::remove(dir_ / "d/x");
  put("d/x");
  ASSERT_EQ(::chmod((dir_ / "d/x").c_str(), 0666), 0);
  EXPECT_FALSE(published());
  ASSERT_EQ(::chmod((dir_ / "d/x").c_str(), 0600), 0);
  EXPECT_TRUE(published());
  // Nor does a link at the old name hide that it is.
  std::filesystem::create_symlink("/nonexistent", dir_ / "d/x-incomplete");
  EXPECT_TRUE(published());
}

TEST_F(PlantedDumps, AreNotRead) {
  write(all_durable());
  ASSERT_TRUE(write_file_atomically(dir_ / "d/x-incomplete", "forged", 0600));
  auto saves = read_earlier_saves(journal_, kId);
  ASSERT_TRUE(saves);
  ASSERT_EQ(::chmod((dir_ / "d/x-incomplete").c_str(), 0666), 0);
  const auto merged = merge_with_earlier(std::make_unique<GoneFrames>(FrameSet{}), {}, *saves, {});
  ASSERT_FALSE(merged);
  EXPECT_THAT(merged.error().what(), HasSubstr("can be changed by others"));
}

}  // namespace
}  // namespace hadump
