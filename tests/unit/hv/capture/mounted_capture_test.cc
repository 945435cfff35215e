// SPDX-License-Identifier: GPL-2.0-or-later
// What `hadump mount` shows of a capture.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/hv/capture/capture_mode_fixture.h"
#include "userspace/dump_mount/dump_tree.h"

namespace hadump {
namespace {

using testing::HasSubstr;

class MountedCaptureTest : public testing::Test, public CapturedGuest {
 protected:
  static std::string text_of(const DumpTree::File& file) {
    std::string text(file.bytes + 10, '\0');
    const auto read = file.read(0, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(read);
    text.resize(read.value_or(0));
    EXPECT_EQ(text.size(), file.bytes);
    return text;
  }
};

TEST_F(MountedCaptureTest, ShowsAnElfCoreTheLogAndTheMetadata) {
  record_.order.format = "kdump";
  ASSERT_TRUE(run());
  auto tree = DumpTree::open({record_.file}, "");
  ASSERT_TRUE(tree) << tree.error().what();
  ASSERT_NE((*tree)->find("vmcore"), nullptr);
  ASSERT_NE((*tree)->find("dmesg.txt"), nullptr);
  ASSERT_NE((*tree)->find("metadata.json"), nullptr);
  EXPECT_EQ((*tree)->find("other"), nullptr);
  EXPECT_THAT(text_of(*(*tree)->find("dmesg.txt")),
              HasSubstr("Kernel panic - not syncing: a test"));
  EXPECT_EQ(Json::parse(text_of(*(*tree)->find("metadata.json"))), metadata());
  const std::string copy = directory_ / "copy";
  std::ofstream(copy, std::ios::binary) << text_of(*(*tree)->find("vmcore"));
  expect_dump_equals_memory(copy);
}

// While it is written, it is the incomplete dump that has the name.
TEST_F(MountedCaptureTest, ShowsNoOtherDumpsMetadata) {
  ASSERT_TRUE(run());
  const std::string other = directory_ / "other";
  const std::string incomplete = other + "-incomplete";
  std::filesystem::rename(record_.file, incomplete);
  std::filesystem::copy_file(record_.metadata, directory_ / "metadata.json");
  std::filesystem::rename(record_.metadata, other + "-metadata.json");
  auto tree = DumpTree::open({incomplete}, "");
  ASSERT_TRUE(tree);
  EXPECT_FALSE(Json::parse(text_of(*(*tree)->find("metadata.json"))).contains("header"));
  std::filesystem::rename(incomplete, record_.file + "-incomplete");
  tree = DumpTree::open({record_.file + "-incomplete"}, "");
  ASSERT_TRUE(tree);
  EXPECT_TRUE(Json::parse(text_of(*(*tree)->find("metadata.json"))).contains("header"));
}

TEST_F(MountedCaptureTest, ReadsNoPipe) {
  ASSERT_TRUE(run());
  std::filesystem::remove(record_.metadata);
  ASSERT_EQ(::mkfifo(record_.metadata.c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((directory_ / "metadata.json").c_str(), 0600), 0);
  EXPECT_TRUE(DumpTree::open({record_.file}, ""));
}

TEST_F(MountedCaptureTest, AnyDumpHasMetadata) {
  ASSERT_TRUE(run());
  std::filesystem::remove(record_.metadata);
  auto tree = DumpTree::open({record_.file}, "");
  ASSERT_TRUE(tree);
  const Json json = Json::parse(text_of(*(*tree)->find("metadata.json")));
  EXPECT_EQ(json["complete"], true);
  EXPECT_EQ(json["kernel"], "6.1.0-test");
}

TEST_F(MountedCaptureTest, WhatIsNoDumpIsRefused) {
  std::ofstream(directory_ / "text") << "words";
  EXPECT_FALSE(DumpTree::open({directory_ / "text"}, ""));
  EXPECT_FALSE(DumpTree::open({directory_ / "missing"}, ""));
}

}  // namespace
}  // namespace hadump
