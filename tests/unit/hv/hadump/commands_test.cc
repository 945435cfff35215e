// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "hv/hadump/command.h"
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
    if (!found || found->command == nullptr) return kExitUsage;
    auto command = found->command->parse(found->arguments);
    return command ? (*command)(world) : static_cast<int>(kExitUsage);
  }
  Result<Json> ask(const std::string& socket, const Json& request) {
    sockets.push_back(socket);
    asked.push_back(request["command"]);
    if (!running) return fail(ErrorCode::kNotFound, "hadumpd does not run");
    if (request["command"] == "list")
      return Json{{"ok", true},
                  {"domains", {{{"name", "web"}, {"uuid", "u"}, {"domid", 7}, {"state", state}}}}};
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

  bool running = true;
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
  for (const Command& command : commands()) {
    EXPECT_THAT(admin_help(), HasSubstr("\n  " + std::string(command.name) + " "));
    EXPECT_THAT(command_help(command),
                HasSubstr("Usage: hadump " + std::string(command.name) + " "));
    EXPECT_THAT(command_help(command), HasSubstr("--socket"));
    EXPECT_TRUE(find_command({std::string(command.name), "--help"})->help);
  }
}

TEST_F(CommandsTest, WrongUsageIsRefused) {
  for (const std::vector<std::string>& bad : {std::vector<std::string>{},
                                              {"trigger"},
                                              {"explode"},
                                              {"list", "a", "b"},
                                              {"--nonsense"},
                                              {"list", "--nonsense"},
                                              {"list", "--wait", "1"},
                                              {"trigger", "web", "--wait", "x"}})
    EXPECT_EQ(run(bad), kExitUsage) << testing::PrintToString(bad);
}

TEST_F(CommandsTest, OptionsMayComeFirst) {
  EXPECT_EQ(run({"--json", "--socket", "/here", "list"}), kExitOk);
  EXPECT_THAT(sockets, ElementsAre("/here"));
  EXPECT_EQ(Json::parse(out.str())[0]["name"], "web");
}

TEST_F(CommandsTest, SaysWhichDomainOrDaemonIsMissing) {
  EXPECT_EQ(run({"status", "db"}), kExitNoDomain);
  EXPECT_THAT(errors.str(), HasSubstr("no domain 'db'"));
  running = false;
  EXPECT_EQ(run({"list"}), kExitNoDaemon);
}

TEST_F(CommandsTest, TriggerWaitsForTheJob) {
  EXPECT_EQ(run({"trigger", "web"}), kExitOk) << errors.str();
  EXPECT_EQ(waited, job_takes);
  EXPECT_THAT(out.str(), HasSubstr("triggered the dump of domain 'web'"));
}

TEST_F(CommandsTest, TriggerSaysWhatTheJobFailedAt) {
  job_fails = "the backend is late";
  EXPECT_EQ(run({"trigger", "web"}), kExitFailed);
  EXPECT_EQ(errors.str(), "hadump: the backend is late\n");
}

TEST_F(CommandsTest, TriggerDoesNotWaitForEver) {
  job_takes = milliseconds(1000000);
  EXPECT_EQ(run({"trigger", "web", "--wait", "5"}), kExitFailed);
  EXPECT_EQ(waited, milliseconds(5000));
  EXPECT_THAT(errors.str(), HasSubstr("still working on it (job 17, crash run)"));

  asked.clear();
  EXPECT_EQ(run({"trigger", "web", "--wait", "0"}), kExitOk);
  EXPECT_THAT(asked, ElementsAre("list", "trigger"));
}

TEST_F(CommandsTest, TriggerSaysWhatItSaw) {
  EXPECT_EQ(run({"trigger", "web"}), kExitOk);
  EXPECT_FALSE(again);
  state = "failed";
  EXPECT_EQ(run({"trigger", "web"}), kExitOk);
  EXPECT_TRUE(again);
}

TEST_F(CommandsTest, TriggerPassesARefusalOn) {
  refusal = "the domain is not watched: not a PVH guest";
  EXPECT_EQ(run({"trigger", "web"}), kExitFailed);
  EXPECT_THAT(errors.str(), HasSubstr("not a PVH guest"));
}

TEST(Report, ShowsWhatIsHeldAndForHowLong) {
  const auto domains = nlohmann::ordered_json::parse(R"([
    {"name": "g1", "uuid": "u", "domid": 7, "state": "saving", "since_ms": 1000,
     "memory_bytes": 1073741824, "note": "", "guest": {"state": "saving", "saved_percent": 42},
     "dump": {"step": "started", "held_bytes": 805306368, "released_bytes": 268435456}},
    {"name": "g2", "uuid": "v", "domid": 8, "state": "ignored", "since_ms": 1000,
     "memory_bytes": 536870912, "note": "not a PVH guest"}])");
  EXPECT_EQ(list_text(domains, 62000),
            "NAME                        ID STATE           SINCE    MEMORY      HELD SAVED\n"
            "g1                           7 saving       00:01:01     1 GiB   512 MiB   42%\n"
            "g2                           8 ignored      00:01:01   512 MiB         -     -  not a "
            "PVH guest\n");
  const nlohmann::ordered_json answer = {{"ok", true}, {"domains", domains}};
  EXPECT_EQ(choose(answer, ""), domains);
  EXPECT_EQ(choose(answer, "8"), nlohmann::ordered_json::array({domains[1]}));
  EXPECT_TRUE(choose(answer, "g3").empty());
  EXPECT_TRUE(is_domain(domains[0], "g1"));
  EXPECT_TRUE(is_domain(domains[0], "7"));
  EXPECT_FALSE(is_domain(domains[0], "8"));
}

// A domain may be called what another has as its number; the wrong one must not be made to crash.
TEST(Trigger, RefusesANameThatFitsTwoDomains) {
  const auto domains = nlohmann::ordered_json::parse(R"([
    {"name": "7", "uuid": "u", "domid": 3}, {"name": "web", "uuid": "v", "domid": 7}])");
  const auto refused = domain_to_trigger(domains, "7");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kBadData);
  EXPECT_THAT(refused.error().what(), HasSubstr("web (domain 7, v)"));
  const auto one = nlohmann::ordered_json::array({domains[1]});
  EXPECT_EQ(domain_to_trigger(one, "web").value(), 7U);
  EXPECT_EQ(domain_to_trigger(nlohmann::ordered_json::array(), "x").error().code(),
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hadump
