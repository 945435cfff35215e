// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/log.h"

#include <gmock/gmock.h>
#include <spdlog/details/log_msg.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>

namespace hadump {
namespace {

std::string line(bool journal, spdlog::level::level_enum level) {
  spdlog::memory_buf_t out;
  log_formatter(journal)->format(spdlog::details::log_msg("name", level, "text"), out);
  return {out.data(), out.size()};
}

TEST(Log, TellsTheJournalThePriority) {
  EXPECT_EQ(line(true, spdlog::level::err), "<3>error: text\n");
  EXPECT_EQ(line(true, spdlog::level::warn), "<4>warning: text\n");
  EXPECT_EQ(line(true, spdlog::level::info), "<6>info: text\n");
  EXPECT_EQ(line(true, spdlog::level::debug), "<7>debug: text\n");
  EXPECT_THAT(line(false, spdlog::level::err), testing::MatchesRegex("2.*[0-9] error: text\n"));
}

TEST(Log, KnowsTheJournalByDeviceAndInode) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
  const int fd = fileno(file.get());
  struct stat info {};
  ASSERT_EQ(fstat(fd, &info), 0);
  const std::string name = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
  EXPECT_TRUE(is_journal(fd, name.c_str()));
  EXPECT_FALSE(is_journal(fd, (name + "1").c_str()));
  EXPECT_FALSE(is_journal(fd, ""));
  EXPECT_FALSE(is_journal(fd, nullptr));
  EXPECT_FALSE(is_journal(-1, name.c_str()));
}

}  // namespace
}  // namespace hadump
