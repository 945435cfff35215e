// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/journal.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <iterator>

#include "core/base/file.h"
#include "core/save/earlier_save.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

const JournalContent kContent{std::string(32, 'a'),
                              "format=elf",
                              {"/a b/x-incomplete", "/y-incomplete"},
                              {"/a b/x", "/y"},
                              {{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{300}}},
                              {},
                              {},
                              {},
                              {"/old journal"},
                              false};

TEST(Journal, ComesBackAsItWasWritten) {
  const TemporaryDirectory dir;
  auto journal = Journal::create(dir.held("j"), kContent);
  ASSERT_TRUE(journal);
  ASSERT_TRUE(journal->add_durable({{Gfn{0}, Gfn{50}}}, {{Gfn{3}, Gfn{4}}}, 1));
  ASSERT_TRUE(journal->add_durable({{Gfn{50}, Gfn{100}}}, {}, 1));
  ASSERT_TRUE(journal->add_durable({{Gfn{200}, Gfn{201}}}, {}, 31));
  JournalContent expected = kContent;
  expected.durable = {{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{201}}};
  expected.lost = {{Gfn{3}, Gfn{4}}};
  expected.steps = {{1, {{Gfn{0}, Gfn{100}}}}, {31, {{Gfn{200}, Gfn{201}}}}};
  EXPECT_EQ(*read_journal(dir.held("j")), expected);
  journal = fail(ErrorCode::kNotFound, "closed");
  ASSERT_TRUE(Journal::reopen(dir.held("j"), expected));
  EXPECT_EQ(*read_journal(dir.held("j")), expected);
}

// A save that cannot see another's lock must not take what that one writes for what it has left.
TEST(Journal, OfASaveThatIsAtItIsNotTakenOver) {
  const TemporaryDirectory dir;
  {
    const auto journal = Journal::create(dir.held("j"), kContent);
    ASSERT_TRUE(journal);
    EXPECT_EQ(check_nobody_saves(dir.held("j")).error().code(), ErrorCode::kBusy);
    EXPECT_EQ(Journal::create(dir.held("j"), kContent).error().code(), ErrorCode::kBusy);
    EXPECT_EQ(Journal::reopen(dir.held("j"), kContent).error().code(), ErrorCode::kBusy);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir / ""), {}), 1);
  }
  EXPECT_TRUE(check_nobody_saves(dir.held("j")));
  EXPECT_TRUE(Journal::reopen(dir.held("j"), kContent));
  EXPECT_TRUE(check_nobody_saves(dir.held("none")));
}

// Whatever a crash tears off, no frame is called durable that was not noted as such.
TEST(Journal, BelievesOnlyWholeLines) {
  const TemporaryDirectory dir;
  auto journal = Journal::create(dir.held("j"), kContent);
  const std::size_t head = read_text_file(dir / "j", 4096)->size();
  ASSERT_TRUE(journal->add_durable({{Gfn{0x10}, Gfn{0x20}}}, {}, 0));
  ASSERT_TRUE(journal->add_durable({{Gfn{0x20}, Gfn{0x300}}}, {}, 0));
  const std::string whole = *read_text_file(dir / "j", 4096);
  const FrameSet possible[] = {{}, {{Gfn{0x10}, Gfn{0x20}}}, {{Gfn{0x10}, Gfn{0x300}}}};
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    for (const std::string& tail : {std::string(), std::string(7, '\0')}) {
      ASSERT_TRUE(write_file_atomically(dir / "j", whole.substr(0, cut) + tail, 0600));
      const auto content = read_journal(dir.held("j"));
      EXPECT_EQ(content.has_value(), cut >= head) << cut;
      if (content) {
        EXPECT_THAT(possible, testing::Contains(content->durable)) << cut;
      }
    }
  }
}

// Whose files nobody knows, nothing can be missing from.
TEST(Journal, IsNoneWithoutFiles) {
  const TemporaryDirectory dir;
  JournalContent content = kContent;
  content.finals.pop_back();
  ASSERT_TRUE(Journal::create(dir.held("j"), content));
  EXPECT_EQ(read_journal(dir.held("j")).error().code(), ErrorCode::kBadData);
  content.files = content.finals = {};
  ASSERT_TRUE(Journal::create(dir.held("j"), content));
  EXPECT_EQ(read_journal(dir.held("j")).error().code(), ErrorCode::kBadData);
}

// A file that its owner renamed is not whole for that: its dump's memory must stay held.
TEST(SettleNames, BelievesAFinalNameOnlyWhenAllIsDurable) {
  const TemporaryDirectory dir;
  EarlierSave save{dir.held("j"), kContent, {dir.held("x-incomplete")}, {dir.held("x")}};
  JournalContent& content = save.content;
  content.files = paths_of(save.files);
  content.finals = paths_of(save.finals);
  content.durable = {{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{299}}};
  ASSERT_TRUE(write_file_atomically(dir / "x", "dump", 0600));
  ASSERT_TRUE(settle_names(save));
  EXPECT_FALSE(content.published);
  EXPECT_EQ(read_text_file(dir / "x-incomplete", 100).value_or(""), "dump");
  EXPECT_FALSE(std::filesystem::exists(dir / "x"));

  std::filesystem::rename(dir / "x-incomplete", dir / "x");
  content.durable = content.frames;
  ASSERT_TRUE(settle_names(save));
  EXPECT_TRUE(content.published);
  EXPECT_EQ(content.files, content.finals);
}

// Where a file cannot be renamed without replacing another, it gets its final name by link(); a
// saver that is killed then leaves both.
TEST(SettleNames, LeavesAFileOneOfItsTwoNames) {
  for (const bool is_published : {false, true}) {
    const TemporaryDirectory dir;
    EarlierSave save{dir.held("j"), kContent, {dir.held("x-incomplete")}, {dir.held("x")}};
    JournalContent& content = save.content;
    content.files = paths_of(save.files);
    content.finals = paths_of(save.finals);
    content.durable = content.frames;
    content.published = is_published;
    ASSERT_TRUE(write_file_atomically(dir / "x-incomplete", "dump", 0600));
    std::filesystem::create_hard_link(dir / "x-incomplete", dir / "x");
    ASSERT_TRUE(settle_names(save));
    EXPECT_EQ(content.published, is_published);
    EXPECT_EQ(std::filesystem::exists(dir / "x"), is_published);
    EXPECT_EQ(std::filesystem::exists(dir / "x-incomplete"), !is_published);
    EXPECT_EQ(read_text_file(content.files.front(), 100).value_or(""), "dump");
  }
}

// Another file that has the final name is somebody's.
TEST(SettleNames, RemovesNoOtherFile) {
  const TemporaryDirectory dir;
  EarlierSave save{dir.held("j"), kContent, {dir.held("x-incomplete")}, {dir.held("x")}};
  save.content.files = paths_of(save.files);
  save.content.finals = paths_of(save.finals);
  save.content.durable = save.content.frames;
  ASSERT_TRUE(write_file_atomically(dir / "x-incomplete", "dump", 0600));
  ASSERT_TRUE(write_file_atomically(dir / "x", "another", 0600));
  ASSERT_TRUE(settle_names(save));
  EXPECT_FALSE(save.content.published);
  EXPECT_EQ(read_text_file(dir / "x", 100).value_or(""), "another");
}

}  // namespace
}  // namespace hadump
