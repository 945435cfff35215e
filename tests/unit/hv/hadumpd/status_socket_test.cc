// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/status_socket.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

namespace hadump {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class StatusSocketTest : public testing::Test {
 protected:
  const std::string path =
      (std::filesystem::temp_directory_path() / ("hadump-" + std::to_string(::getpid()) + ".sock"))
          .string();
};

TEST_F(StatusSocketTest, AnswersALineWithALine) {
  auto socket = StatusSocket::listen(path);
  ASSERT_TRUE(socket) << socket.error().what();
  std::jthread server([&] { socket->serve([](const std::string& line) { return "to " + line; }); });

  const auto answer = ask_daemon(path, "question", 60s);

  ASSERT_TRUE(answer) << answer.error().what();
  EXPECT_EQ(*answer, "to question\n");
}

// hadumpd answers after a crash run, not during one.
TEST_F(StatusSocketTest, SaysThatHadumpdIsBusyWhenItDoesNotAnswerInTime) {
  auto socket = StatusSocket::listen(path);
  ASSERT_TRUE(socket) << socket.error().what();

  const auto answer = ask_daemon(path, "question", 1s);

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(answer.error().what(), HasSubstr("no answer from hadumpd within 1 s"));
  EXPECT_THAT(answer.error().what(), HasSubstr("crash"));
}

TEST_F(StatusSocketTest, SaysThatHadumpdDoesNotRun) {
  const auto answer = ask_daemon(path, "question", 1s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hadump
