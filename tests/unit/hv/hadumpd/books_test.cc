// SPDX-License-Identifier: GPL-2.0-or-later
// What is known of domains and captures, while the disk is slower than those who change it.
#include <gmock/gmock.h>

#include <filesystem>

#include "hv/hadumpd/capture_book.h"
#include "hv/hadumpd/record_book.h"
#include "tests/fakes/manual_writes.h"

namespace hadump {
namespace {

using testing::IsEmpty;

class BooksTest : public testing::Test {
 protected:
  BooksTest() {
    std::vector<std::string> complaints;
    EXPECT_TRUE(domains.load(complaints));
    EXPECT_TRUE(captures.load(complaints));
  }
  ~BooksTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  static DomainRecord domain(const std::string& name) {
    DomainRecord record;
    record.uuid = "u";
    record.name = name;
    return record;
  }
  static CaptureRecord capture(const std::string& error) {
    CaptureRecord record;
    record.name = "c";
    record.order.to = "/var/captures/";
    record.error = error;
    return record;
  }
  /// What the next hadumpd would find.
  std::vector<DomainRecord> domains_on_disk() {
    std::vector<std::string> complaints;
    return states.load_all(complaints).value();
  }
  std::string capture_on_disk() {
    std::vector<std::string> complaints;
    const auto texts = states.captures(complaints).value();
    return texts.contains("c") ? texts.at("c") : "none";
  }
  static std::string new_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hadump-XXXXXX").string();
    return ::mkdtemp(pattern.data());
  }

  std::string directory = new_directory();
  StateDirectory states{directory, ""};
  ManualWrites writes;
  RecordBook domains{states, writes, "boot"};
  CaptureBook captures{states, writes, "boot"};
};

TEST_F(BooksTest, WhatIsNotedIsKnownAtOnceAndOnDiskLater) {
  writes.hang();
  domains.note(domain("a"));
  captures.note(capture("a"));
  EXPECT_EQ(domains.find("u")->name, "a");
  EXPECT_EQ(captures.find("c")->error, "a");
  EXPECT_THAT(domains_on_disk(), IsEmpty());
  EXPECT_EQ(capture_on_disk(), "none");
  writes.settle();
  EXPECT_EQ(domains_on_disk().at(0).name, "a");
  EXPECT_THAT(capture_on_disk(), testing::HasSubstr(R"("a")"));
}

TEST_F(BooksTest, ALateWriteDoesNotUndoANewerOne) {
  writes.hang();
  domains.note(domain("old"));
  captures.note(capture("old"));
  ASSERT_TRUE(domains.save(domain("new")));
  ASSERT_TRUE(captures.save(capture("new")));
  writes.settle();
  EXPECT_EQ(domains_on_disk().at(0).name, "new");
  EXPECT_THAT(capture_on_disk(), testing::HasSubstr(R"("new")"));
}

TEST_F(BooksTest, WhatIsForgottenGoesLateAndNeverWithItsSuccessor) {
  ASSERT_TRUE(domains.save(domain("a")));
  ASSERT_TRUE(captures.save(capture("a")));
  writes.hang();
  domains.forget("u");
  captures.forget("c");
  EXPECT_EQ(domains_on_disk().size(), 1U);
  ASSERT_TRUE(domains.save(domain("b")));
  ASSERT_TRUE(captures.save(capture("b")));
  writes.settle();
  EXPECT_EQ(domains_on_disk().at(0).name, "b");
  EXPECT_THAT(capture_on_disk(), testing::HasSubstr(R"("b")"));
  domains.forget("u");
  captures.forget("c");
  EXPECT_THAT(domains_on_disk(), IsEmpty());
  EXPECT_EQ(capture_on_disk(), "none");
}

TEST_F(BooksTest, AJobCanWaitForTheDisk) {
  writes.hang();
  domains.note(domain("a"));
  captures.note(capture("a"));
  ASSERT_TRUE(domains.write_down("u"));
  ASSERT_TRUE(captures.write_down("c"));
  EXPECT_EQ(domains_on_disk().size(), 1U);
  EXPECT_NE(capture_on_disk(), "none");
}

TEST_F(BooksTest, NothingIsWrittenAfterABookHasGone) {
  writes.hang();
  {
    RecordBook other(states, writes, "boot");
    other.note(domain("a"));
  }
  EXPECT_EQ(writes.waiting(), 0U);
  EXPECT_EQ(domains_on_disk().size(), 1U);
}

}  // namespace
}  // namespace hadump
