// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/requests.h"

#include <gmock/gmock.h>

#include <future>
#include <nlohmann/json.hpp>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

class RequestsTest : public CaretakerTest {
 protected:
  // As the event loop does it: again and again, until there is an answer.
  Json ask(const Json& request) {
    StatusServer::Query query{request.dump(), {}, 0};
    for (;;) {
      if (const auto answer = requests.answer(query)) return Json::parse(*answer);
      std::this_thread::sleep_for(1ms);
      query.waited += 1ms;
    }
  }
  Json ask_text(const std::string& line) {
    StatusServer::Query query{line, {}, 0};
    return Json::parse(requests.answer(query).value());
  }

  Wakeup wakeup = std::move(*Wakeup::create());
  GuestObserver guests{[this](unsigned domid, bool) -> Result<GuestNews> {
                         auto open = host.open(domid);
                         if (!open) return fail(std::move(open));
                         return GuestNews{(*open)->store().guest_keys().value(), "", 0};
                       },
                       wakeup};
  ManualJobs stream_jobs;
  StreamKeeper streams{{stream_jobs,
                        [](const StreamTask& task) -> Result<ReceivedStream> {
                          task.progress->show({"vmcore", 3 << 20, 2 << 20});
                          return ReceivedStream{"vmcore", 3 << 20};
                        },
                        [] { return std::uint64_t{1700000000000}; }, [] { return 0ms; }}};
  Requests requests{*caretaker, jobs, guests, streams};
};

TEST_F(RequestsTest, ListShowsWhatGuestsSayNow) {
  const unsigned domid = known(config("web"));
  guests.follow(caretaker->listened_to());
  host.at(domid).store.keys[HADUMP_XS_STATE] = "registered";

  const Json answer = ask({{"command", "list"}});

  EXPECT_EQ(answer["ok"], true);
  ASSERT_EQ(answer["domains"].size(), 1U);
  EXPECT_EQ(answer["domains"][0]["name"], "web");
  EXPECT_EQ(answer["domains"][0]["state"], "registered");
}

TEST_F(RequestsTest, ListShowsStreams) {
  const GuestNews offer{{{"0", "0123456789abcdef"}}, "", 0};
  streams.look({{7, {"web", "uuid", {.allowed = true}}}}, {{7, offer}}, {.directory = "/d"});
  stream_jobs.work(7 * HADUMP_XS_STREAM_SLOTS);

  const Json answer = ask({{"command", "list"}});

  ASSERT_EQ(answer["streams"].size(), 1U);
  EXPECT_EQ(answer["streams"][0]["domid"], 7);
  EXPECT_EQ(answer["streams"][0]["file"], "/d/web/vmcore");
  EXPECT_EQ(answer["streams"][0]["received_bytes"], 3 << 20);
  EXPECT_EQ(answer["streams"][0]["durable_bytes"], 2 << 20);
  EXPECT_EQ(answer["streams"][0]["begun_ms"], 1700000000000);
}

TEST_F(RequestsTest, ListAnswersWhileAJobRuns) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  look();

  const Json answer = ask({{"command", "list"}});

  EXPECT_EQ(answer["domains"][0]["state"], "booting");
  EXPECT_TRUE(answer["domains"][0].contains("job"));
}

TEST_F(RequestsTest, ListDoesNotWaitForAXenstoredThatHangs) {
  known(config("web"));
  std::promise<void> released;
  std::shared_future<void> gate = released.get_future().share();
  GuestObserver hung(
      [gate](unsigned, bool) -> Result<GuestNews> {
        gate.wait();
        return GuestNews{};
      },
      wakeup);
  hung.follow(caretaker->listened_to());
  Requests of_hung(*caretaker, jobs, hung, streams);
  StatusServer::Query query{R"({"command": "list"})", {}, 0};
  EXPECT_FALSE(of_hung.answer(query)) << "a moment, for what guests say now";
  query.waited = 500ms;
  const auto answer = of_hung.answer(query);
  released.set_value();
  ASSERT_TRUE(answer);
  EXPECT_EQ(Json::parse(*answer)["domains"][0]["name"], "web");
}

TEST_F(RequestsTest, TriggerAnswersWithANumberAtOnce) {
  const unsigned domid = known(config("web"));
  rescue_failures = {Error(ErrorCode::kBusy, "the backend is late")};
  host.at(domid).domain.crash_again();
  settle();

  const Json answer = ask({{"command", "trigger"}, {"domid", domid}});
  ASSERT_EQ(answer["ok"], true) << answer;
  const Json question = {{"command", "job"}, {"job", answer["job"]}};
  Json job = ask(question);
  EXPECT_EQ(job["over"], false);
  EXPECT_THAT(job["what"].get<std::string>(), HasSubstr("crash run"));
  rescue_failures = {Error(ErrorCode::kBusy, "it is still late")};
  jobs.finish();
  job = ask(question);
  EXPECT_EQ(job["over"], true);
  EXPECT_EQ(job["error"], "it is still late");
}

TEST_F(RequestsTest, CaptureAnswersWithANumberAndANameAtOnce) {
  set_policies("max-crashes", "0");
  const unsigned domid = known(config("web"));
  const Json request = {{"command", "capture"}, {"domid", domid},        {"mode", "copy"},
                        {"to", "/captures/"},   {"format", "kdump"},     {"compress", "lzo"},
                        {"dump_level", "31"},   {"pages", "/root/list"}, {"restart", false}};
  EXPECT_THAT(ask(request)["error"].get<std::string>(), HasSubstr("the domain runs"));
  host.at(domid).domain.crash_again();
  settle();

  const Json answer = ask(request);
  ASSERT_EQ(answer["ok"], true) << answer;
  EXPECT_EQ(ask({{"command", "job"}, {"job", answer["job"]}})["over"], false);
  Json all = ask({{"command", "captures"}})["captures"];
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0]["name"], answer["name"]);
  EXPECT_EQ(all[0]["state"], "examining");
  EXPECT_FALSE(all[0].contains("done_bytes"));
  EXPECT_EQ(captures->find(answer["name"].get<std::string>())->order.pages, "/root/list");

  captures->show(answer["name"], DumpProgress{.frames_total = 512,
                                              .frames_done = 256,
                                              .bytes_written = 5000,
                                              .elapsed = std::chrono::seconds(1)});
  all = ask({{"command", "list"}})["captures"];
  EXPECT_EQ(all[0]["done_bytes"], 1_MiB);
  EXPECT_EQ(all[0]["written_bytes"], 5000);
  EXPECT_EQ(all[0]["bytes_per_s"], 1_MiB);
  EXPECT_EQ(all[0]["remaining_s"], 1);
  jobs.finish();
  all = ask({{"command", "list"}})["captures"];
  EXPECT_EQ(all[0]["state"], "written");
  EXPECT_FALSE(all[0].contains("remaining_s"));
}

TEST_F(RequestsTest, AnIncompleteCaptureRequestIsMalformed) {
  const unsigned domid = known(config("web"));
  EXPECT_THAT(ask({{"command", "capture"}, {"domid", domid}, {"to", "/x"}})["error"],
              "malformed request");
}

// SIGHUP, and `hadump trigger` after it.
TEST_F(RequestsTest, TriggerWaitsForADomainThatIsBeingLookedAt) {
  const unsigned domid = known(config("web"));
  caretaker->reconsider();
  look();
  StatusServer::Query query{Json{{"command", "trigger"}, {"domid", domid}}.dump(), {}, 0};
  EXPECT_FALSE(requests.answer(query));
  settle();

  const auto answer = requests.answer(query);
  ASSERT_TRUE(answer);
  EXPECT_EQ(Json::parse(*answer)["ok"], true) << *answer;
}

TEST_F(RequestsTest, RefusesWhatMakesNoSense) {
  for (const char* line :
       {"", "{", "[]", "7", R"({"command": 3})", R"({"command": "trigger"})",
        R"({"command": "trigger", "domid": -1})", R"({"command": "trigger", "domid": 4294967296})",
        R"({"command": "trigger", "domid": 9})", R"({"command": "job", "job": 99})",
        R"({"command": "job", "job": "1"})", R"({"command": "destroy", "domid": 1})"}) {
    const Json answer = ask_text(line);
    EXPECT_EQ(answer["ok"], false) << line;
    EXPECT_FALSE(answer["error"].get<std::string>().empty()) << line;
  }
}

}  // namespace
}  // namespace hadump
