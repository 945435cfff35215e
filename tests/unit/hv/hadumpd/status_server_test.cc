// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/status_server.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "hv/hadumpd/status_socket.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class StatusServerTest : public testing::Test {
 protected:
  StatusServer listen() {
    auto server = StatusServer::listen(path, [this] { return now.load(); });
    EXPECT_TRUE(server) << server.error().what();
    return std::move(*server);
  }
  // Serves until the client's thread is through.
  static void serve(StatusServer& server, const std::atomic<bool>& through,
                    const StatusServer::Answer& answer) {
    while (!through) {
      std::vector<pollfd> fds;
      server.add_to(fds);
      ASSERT_GE(poll(fds.data(), fds.size(), 10), 0);
      server.serve(answer);
    }
  }
  // A client that says this much and then nothing.
  UniqueFd connect_and_say(const std::string& text) const {
    const auto address = socket_address(path);
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)), 0);
    EXPECT_EQ(send(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return fd;
  }
  static std::optional<std::string> echo(StatusServer::Query& query) { return "to " + query.line; }

  const std::string path =
      (std::filesystem::temp_directory_path() / ("hadump-" + std::to_string(::getpid()) + ".sock"))
          .string();
  std::atomic<std::chrono::milliseconds> now{0ms};
};

TEST_F(StatusServerTest, AnswersALineWithALine) {
  StatusServer server = listen();
  std::atomic<bool> through = false;
  Result<std::string> answer;
  std::jthread client([&] {
    answer = ask_daemon(path, "question", 60s);
    through = true;
  });
  serve(server, through, echo);

  ASSERT_TRUE(answer) << answer.error().what();
  EXPECT_EQ(*answer, "to question\n");
}

TEST_F(StatusServerTest, ASlowClientKeepsNobodyWaiting) {
  StatusServer server = listen();
  const UniqueFd silent = connect_and_say("");
  const UniqueFd slow = connect_and_say("half a que");
  // One that asks, and never reads an answer that does not fit the socket's buffer.
  const UniqueFd deaf = connect_and_say("much\n");
  std::atomic<bool> through = false;
  Result<std::string> answer;
  std::jthread client([&] {
    answer = ask_daemon(path, "question", 60s);
    through = true;
  });
  serve(server, through, [](StatusServer::Query& query) -> std::optional<std::string> {
    if (query.line == "much\n") return std::string(8U << 20, 'x') + "\n";
    return echo(query);
  });

  ASSERT_TRUE(answer) << answer.error().what();
  EXPECT_EQ(*answer, "to question\n");
}

TEST_F(StatusServerTest, ASlowClientIsDropped) {
  StatusServer server = listen();
  const UniqueFd slow = connect_and_say("half a que");
  server.serve(echo);
  std::vector<pollfd> fds;
  server.add_to(fds);
  EXPECT_EQ(fds.size(), 2U);
  now = 11s;
  server.serve(echo);
  fds.clear();
  server.add_to(fds);
  EXPECT_EQ(fds.size(), 1U);
  char byte = 0;
  EXPECT_EQ(recv(slow.get(), &byte, 1, 0), 0) << "its connection is closed";
}

TEST_F(StatusServerTest, AsksAgainForAnAnswerThatIsNotThereYet) {
  StatusServer server = listen();
  const UniqueFd client = connect_and_say("question\n");
  int asked = 0;
  const auto later = [&](StatusServer::Query& query) -> std::optional<std::string> {
    ++asked;
    if (query.ticket == 0) query.ticket = 7;
    if (query.waited < 500ms) return {};
    return std::to_string(query.ticket) + "\n";
  };
  server.serve(later);
  EXPECT_TRUE(server.has_open_query());
  now = 500ms;
  server.serve(later);
  EXPECT_FALSE(server.has_open_query());
  EXPECT_EQ(asked, 2);
  char answer[2];
  ASSERT_EQ(recv(client.get(), answer, sizeof(answer), 0), 2);
  EXPECT_EQ(answer[0], '7');
}

TEST_F(StatusServerTest, RefusesALongRequest) {
  StatusServer server = listen();
  const UniqueFd client = connect_and_say(std::string(5000, 'x'));
  for (int i = 0; i < 3; ++i) server.serve(echo);
  char byte = 0;
  // Whether it ends or is reset depends on what was read of it.
  EXPECT_LE(recv(client.get(), &byte, 1, 0), 0);
}

TEST_F(StatusServerTest, ThereIsALimitToHowManyAreServed) {
  StatusServer server = listen();
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connect_and_say("x"));
    server.serve(echo);
  }
  std::vector<pollfd> fds;
  server.add_to(fds);
  EXPECT_EQ(fds.size(), 64U) << "and the rest waits its turn";
}

TEST_F(StatusServerTest, SaysThatHadumpdDoesNotAnswerInTime) {
  StatusServer server = listen();

  const auto answer = ask_daemon(path, "question", 1s);

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(answer.error().what(), HasSubstr("no answer from hadumpd within 1 s"));
}

TEST_F(StatusServerTest, SaysThatHadumpdDoesNotRun) {
  const auto answer = ask_daemon(path, "question", 1s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hadump
