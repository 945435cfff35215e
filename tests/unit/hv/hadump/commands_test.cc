// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "hv/hadump/answer.h"
#include "hv/hadump/command.h"
#include "hv/hadump/command_capture.h"
#include "hv/hadump/report.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

// hadump beside a hadumpd that knows one domain, and whose jobs take as long as they are told to.
class CommandsTest : public testing::Test {
 protected:
  int run(const std::vector<std::string>& arguments) {
    auto found = find_command(arguments);
    if (!found || found->command == nullptr) return kAdminUsage;
    auto command = found->command->parse(found->arguments);
    return command ? (*command)(world) : static_cast<int>(kAdminUsage);
  }
  Result<Json> ask(const std::string& socket, const Json& request) {
    sockets.push_back(socket);
    asked.push_back(request["command"]);
    if (!running) return fail(ErrorCode::kNotFound, "hadumpd does not run");
    if (request["command"] == "list")
      return Json{{"ok", true},
                  {"domains", {{{"name", "web"}, {"uuid", "u"}, {"domid", 7U}, {"state", state}}}},
                  {"captures", captures}};
    if (request["command"] == "capture") {
      order = request;
      if (!refusal.empty()) return fail(ErrorCode::kBusy, refusal);
      return Json{{"ok", true}, {"job", 17}, {"name", "web-1"}};
    }
    if (request["command"] == "captures") return Json{{"ok", true}, {"captures", {capture()}}};
    if (request["command"] == "discard") {
      EXPECT_EQ(request["name"], "web-1");
      if (!refusal.empty()) return fail(ErrorCode::kBusy, refusal);
      return Json{{"ok", true}, {"job", 17}};
    }
    if (request["command"] == "trigger") {
      again = request["again"];
      if (!refusal.empty()) return fail(ErrorCode::kBusy, refusal);
      return Json{{"ok", true}, {"job", 17}};
    }
    EXPECT_EQ(request["job"], 17);
    Json job = {{"ok", true}, {"what", "crash run"}, {"over", waited >= job_takes}};
    if (waited >= job_takes && !job_fails.empty()) job["error"] = job_fails;
    return job;
  }

  // Half done at first, and over after job_takes.
  Json capture() const {
    Json json = {{"name", "web-1"}, {"uuid", "u"}, {"domain", "web"}, {"mode", "copy"}};
    json["memory_bytes"] = 512U << 20;
    json["done_bytes"] = 256U << 20;
    json["written_bytes"] = 32U << 20;
    json["error"] = job_fails;
    const bool over = waited >= job_takes;
    json["state"] = !over ? "writing" : job_fails.empty() ? "written" : "failed";
    if (!over) json["bytes_per_s"] = 64U << 20;
    if (!over) json["remaining_s"] = 4U;
    if (over) json["file_bytes"] = 48U << 20;
    json["file"] = "/captures/web/vmcore";
    return json;
  }

  bool running = true;
  Json captures = Json::array();
  Json order;
  std::string state = "registered";
  bool again = false;
  std::string refusal;
  milliseconds job_takes{1000};
  std::string job_fails;
  milliseconds waited{0};
  std::vector<std::string> asked;
  std::vector<std::string> sockets;
  std::ostringstream out;
  std::ostringstream errors;
  CommandWorld world{
      [this](const std::string& socket, const Json& request) { return ask(socket, request); }, out,
      errors, [] { return std::uint64_t{0}; }, [this](milliseconds time) { waited += time; }};
};

TEST_F(CommandsTest, EachHasARowInTheHelp) {
  for (const AdminCommand& command : commands()) {
    EXPECT_THAT(admin_help(), HasSubstr("\n  " + std::string(command.name) + " "));
    EXPECT_THAT(command_help(command),
                HasSubstr("Usage: hadump " + std::string(command.name) + " "));
    EXPECT_THAT(command_help(command), HasSubstr("--socket"));
    EXPECT_TRUE(find_command({std::string(command.name), "--help"})->help);
  }
}

TEST_F(CommandsTest, WrongUsageIsRefused) {
  for (const std::vector<std::string>& bad :
       {std::vector<std::string>{},
        {"trigger"},
        {"explode"},
        {"list", "a", "b"},
        {"--nonsense"},
        {"list", "--nonsense"},
        {"list", "--wait", "1"},
        {"trigger", "web", "--wait", "x"},
        {"capture", "web"},
        {"capture", "--to", "/x"},
        {"capture", "web", "--to", "/x", "--mode", "magic"},
        {"capture", "web", "--to", "/x", "--format", "zip"},
        {"capture", "web", "--to", "-"},
        {"capture", "web", "--to", "/x", "--max-stop", "9"},
        {"capture", "web", "--to", "/x", "--mode", "live", "--if-busy", "wait"},
        {"capture", "web", "--to", "/x", "--wait", "1"}})
    EXPECT_EQ(run(bad), kAdminUsage) << testing::PrintToString(bad);
}

TEST_F(CommandsTest, WrongUsageIsNamedInAFewWords) {
  for (const auto& [bad, message] :
       {std::pair<std::vector<std::string>, std::string>{
            {"web", "--to", "/x", "--mode", "magic"},
            "--mode: invalid mode 'magic'; use copy, alias, live or auto"},
        {{"web", "--to", "/x", "--mode", "live", "--if-busy", "wait"},
         "--if-busy: invalid word 'wait'; use stop-longer, throttle or give-up"},
        {{"web", "shop"}, "too many arguments"}}) {
    const auto parsed = parse_capture(bad);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().what(), message);
  }
}

TEST_F(CommandsTest, OptionsMayComeFirst) {
  EXPECT_EQ(run({"--json", "--socket", "/here", "list"}), kAdminOk);
  EXPECT_THAT(sockets, ElementsAre("/here"));
  EXPECT_EQ(Json::parse(out.str())[0]["name"], "web");
}

TEST_F(CommandsTest, SaysWhichDomainOrDaemonIsMissing) {
  EXPECT_EQ(run({"status", "db"}), kAdminNoDomain);
  EXPECT_THAT(errors.str(), HasSubstr("no domain 'db'"));
  running = false;
  EXPECT_EQ(run({"list"}), kAdminNoDaemon);
}

TEST_F(CommandsTest, TriggerWaitsForTheJob) {
  EXPECT_EQ(run({"trigger", "web"}), kAdminOk) << errors.str();
  EXPECT_EQ(waited, job_takes);
  EXPECT_THAT(out.str(), HasSubstr("triggered the dump of domain 'web'"));
}

TEST_F(CommandsTest, TriggerSaysWhatTheJobFailedAt) {
  job_fails = "the backend is late";
  EXPECT_EQ(run({"trigger", "web"}), kAdminFailed);
  EXPECT_EQ(errors.str(), "hadump: the backend is late\n");
}

TEST_F(CommandsTest, TriggerDoesNotWaitForEver) {
  job_takes = milliseconds(1000000);
  EXPECT_EQ(run({"trigger", "web", "--wait", "5"}), kAdminFailed);
  EXPECT_EQ(waited, milliseconds(5000));
  EXPECT_THAT(errors.str(), HasSubstr("still working on it (job 17, crash run)"));

  asked.clear();
  EXPECT_EQ(run({"trigger", "web", "--wait", "0"}), kAdminOk);
  EXPECT_THAT(asked, ElementsAre("list", "trigger"));
}

TEST_F(CommandsTest, TriggerSaysWhatItSaw) {
  EXPECT_EQ(run({"trigger", "web"}), kAdminOk);
  EXPECT_FALSE(again);
  state = "failed";
  EXPECT_EQ(run({"trigger", "web"}), kAdminOk);
  EXPECT_TRUE(again);
}

TEST_F(CommandsTest, TriggerPassesARefusalOn) {
  refusal = "the domain is not watched: not a PVH guest";
  EXPECT_EQ(run({"trigger", "web"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("not a PVH guest"));
}

TEST_F(CommandsTest, CaptureAnswersWithItsName) {
  EXPECT_EQ(run({"capture", "web", "--to", "/captures/", "--restart", "--dump-level", "1,31"}),
            kAdminOk)
      << errors.str();
  EXPECT_EQ(out.str(), "capture web-1 has begun\n");
  EXPECT_EQ(order, Json::parse(R"({"command": "capture", "domid": 7, "mode": "copy",
    "to": "/captures/", "format": "kdump", "compress": "lzo", "dump_level": "1,31",
    "pages": "", "restart": true})"));
  EXPECT_EQ(waited, milliseconds(0));
}

TEST_F(CommandsTest, ALiveCaptureSendsItsLimits) {
  EXPECT_EQ(run({"capture", "web", "--mode", "live", "--to", "/captures/", "--max-stop", "9",
                 "--if-busy", "give-up"}),
            kAdminOk)
      << errors.str();
  EXPECT_EQ(order["mode"], "live");
  EXPECT_EQ(order["max_stop_ms"], 9);
  EXPECT_EQ(order["if_busy"], "give-up");
}

// hadumpd runs elsewhere.
TEST_F(CommandsTest, CaptureSendsAnAbsolutePath) {
  EXPECT_EQ(run({"capture", "web", "--to", "here/../there/"}), kAdminOk);
  EXPECT_EQ(order["to"], (std::filesystem::current_path() / "there/").string());
  EXPECT_EQ(run({"capture", "web", "--to", "/captures/", "--pages", "./list"}), kAdminOk);
  EXPECT_EQ(order["pages"], (std::filesystem::current_path() / "list").string());
}

TEST_F(CommandsTest, CaptureFollowsToTheEnd) {
  EXPECT_EQ(run({"capture", "web", "--to", "/captures/", "--follow"}), kAdminOk) << errors.str();
  EXPECT_EQ(waited, job_takes);
  EXPECT_EQ(errors.str(),
            "[##########          ]  50% writing of 512 MiB, 32 MiB written, 64 MiB/s, 0:00:04 "
            "left\n"
            "[####################] 100% written of 512 MiB, 48 MiB written\n");
  EXPECT_THAT(out.str(), HasSubstr("file      /captures/web/vmcore"));
}

TEST_F(CommandsTest, CaptureRewritesItsLineOnATerminal) {
  world.errors_are_terminal = true;
  EXPECT_EQ(run({"capture", "web", "--to", "/captures/", "--follow"}), kAdminOk);
  EXPECT_THAT(errors.str(), testing::StartsWith("\r\x1b[K[##########          ]  50%"));
  EXPECT_THAT(errors.str(), testing::EndsWith("48 MiB written\n"));
}

TEST_F(CommandsTest, CaptureSaysWhatItFailedAt) {
  job_fails = "no room";
  EXPECT_EQ(run({"capture", "web", "--to", "/captures/", "--follow"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("hadump: capture web-1: no room\n"));
  refusal = "the domain runs";
  EXPECT_EQ(run({"capture", "web", "--to", "/captures/"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("hadump: the domain runs\n"));
}

// Also of a domain that is gone; but that one is no domain to be triggered or captured.
TEST_F(CommandsTest, CapturesAreListedWithTheirDomains) {
  Json orphan = capture();
  orphan["name"] = "db-1";
  orphan["domain"] = "db";
  orphan["uuid"] = "v";
  captures = {capture(), orphan};
  EXPECT_EQ(run({"--json", "list"}), kAdminOk);
  const Json all = Json::parse(out.str());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0]["captures"][0]["name"], "web-1");
  EXPECT_EQ(all[1]["name"], "db");
  EXPECT_EQ(all[1]["state"], "gone");
  EXPECT_FALSE(all[1].contains("domid"));
  EXPECT_EQ(run({"status", "db-1"}), kAdminOk) << "by the capture's name, too";
  EXPECT_EQ(run({"trigger", "db"}), kAdminNoDomain);
  EXPECT_EQ(run({"capture", "db", "--to", "/x"}), kAdminNoDomain);
  EXPECT_EQ(run({"status", "0"}), kAdminNoDomain);

  out.str("");
  EXPECT_EQ(run({"list"}), kAdminOk);
  EXPECT_THAT(out.str(), HasSubstr("web-1                            writing   copy    512 MiB   "
                                   "50%    32 MiB    64 MiB/s  0:00:04  /captures/web/vmcore\n"));
  EXPECT_THAT(out.str(), testing::Not(HasSubstr("gone")));
}

// Of a hadumpd of another version, or of none.
TEST_F(CommandsTest, AnswersOfOtherTypesAreNoSurprise) {
  const Json odd = Json::parse(R"({"ok": true, "job": "x", "name": [], "over": 7, "what": {},
    "error": 8, "domains": [{"name": "web", "domid": 7, "uuid": "", "state": 9, "captures": "c",
    "guest": [], "dump": {"times_ms": ["x", {}], "held_bytes": 5, "released_bytes": 9}}],
    "captures": [{"uuid": "", "name": 8, "state": "failed", "error": [], "memory_bytes": -1}]})");
  world.ask = [&](const std::string&, const Json&) -> Result<Json> { return odd; };
  for (const std::vector<std::string>& words : {std::vector<std::string>{"list"},
                                                {"list", "--json"},
                                                {"status", "web"},
                                                {"status", "--json"},
                                                {"trigger", "web", "--wait", "1"},
                                                {"capture", "web", "--to", "/x", "--json"},
                                                {"capture", "web", "--to", "/x", "--follow"}})
    EXPECT_NO_THROW(run(words)) << testing::PrintToString(words);
}

TEST_F(CommandsTest, DiscardWaitsUntilTheFilesAreGone) {
  EXPECT_EQ(run({"discard"}), kAdminUsage);
  job_takes = milliseconds(1000);
  EXPECT_EQ(run({"discard", "web-1"}), kAdminOk);
  EXPECT_THAT(out.str(), HasSubstr("capture web-1 is discarded"));
  EXPECT_EQ(asked.front(), "discard");
  job_fails = "it is mounted";
  EXPECT_EQ(run({"discard", "web-1"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("it is mounted"));
  refusal = "the capture is being written";
  EXPECT_EQ(run({"discard", "web-1"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("being written"));
  running = false;
  EXPECT_EQ(run({"discard", "web-1"}), kAdminNoDaemon);
}

TEST_F(CommandsTest, MountTakesAFileOrTheNameOfACapture) {
  EXPECT_EQ(run({"mount", "/tmp"}), kAdminUsage);
  EXPECT_EQ(run({"mount", "web-2", "/tmp"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("'web-2' is neither a file nor a capture"));
  EXPECT_THAT(asked, ElementsAre("captures"));
  EXPECT_EQ(run({"mount", "web-1", "/tmp"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("looking for /captures/web/vmcore: No such file"));
  running = false;
  EXPECT_EQ(run({"mount", "web-1", "/tmp"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("neither a file nor a capture that is known: hadumpd"));
  asked.clear();
  EXPECT_EQ(run({"mount", "/dev/null", "/tmp"}), kAdminFailed);
  EXPECT_THAT(errors.str(), HasSubstr("mount: /dev/null"));
  EXPECT_TRUE(asked.empty()) << "a file is nobody's business but its reader's";
}

}  // namespace
}  // namespace hadump
