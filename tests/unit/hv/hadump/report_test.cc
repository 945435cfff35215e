// SPDX-License-Identifier: GPL-2.0-or-later
// What hadump makes of hadumpd's answers.
#include "hv/hadump/report.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "hv/hadump/answer.h"
#include "hv/hadump/stream_report.h"

namespace hadump {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::Not;

TEST(Report, LeavesOutWhatHasAnotherType) {
  for (const char* times : {R"({"copy": "x", "boot": 1.5})", R"([[], 1.5])", R"("x")", "7"}) {
    const ordered_json domain = {{"name", "web"},
                                 {"dump", {{"times_ms", ordered_json::parse(times)}}}};
    EXPECT_NO_THROW({ EXPECT_THAT(status_text(domain, 0), HasSubstr("web")); }) << times;
  }
  const ordered_json times = {{"copy", "x"}, {"boot", 1.5}};
  EXPECT_THAT(status_text({{"dump", {{"times_ms", times}}}}, 0),
              HasSubstr("  times     boot 1.5 ms\n"));
}

TEST(Answer, IsTakenAsFarAsEveryCommandReliesOnIt) {
  EXPECT_TRUE(parse_answer(R"({"ok": true, "domains": [{}], "captures": []})"));
  for (const char* bad :
       {"", "[]", "{", "{}", R"({"ok": true, "domains": {}})", R"({"ok": true, "domains": [[]]})",
        R"({"ok": true, "captures": "x"})", R"({"ok": true, "streams": [1]})",
        R"({"ok": true, "captures": [{}, 7]})"}) {
    const auto answer = parse_answer(bad);
    ASSERT_FALSE(answer) << bad;
    EXPECT_EQ(answer.error().code(), ErrorCode::kBadData) << bad;
  }
  EXPECT_EQ(parse_answer(R"({"ok": false, "error": "the domain runs"})").error().what(),
            "the domain runs");
  EXPECT_EQ(parse_answer(R"({"ok": 1, "error": []})").error().what(), "refused");
}

TEST(Report, ShowsTheTimeOfAThrottledGuest) {
  const char* const text = R"({"name": "c", "state": "tracking", "mode": "live", "pass": 5,
    "left_bytes": 4096, "dirty_bytes_per_s": 8192, "throttled": THROTTLED})";
  const auto shown = [&](const std::string& throttled) {
    std::string json = text;
    json.replace(json.find("THROTTLED"), 9, throttled);
    return capture_progress(ordered_json::parse(json));
  };
  EXPECT_THAT(shown(R"({"cap_before": 0, "caps": [20, 10]})"),
              HasSubstr("pass 5, 4 KiB left, the guest writes 8 KiB/s with 10 % of a processor"));
  for (const char* none : {"null", "7", "{}", R"({"caps": []})", R"({"caps": 7})",
                           R"({"caps": ["x"]})", R"({"caps": [-1]})", R"({"caps": "x"})"})
    EXPECT_THAT(shown(none), Not(HasSubstr("processor"))) << none;
}

TEST(Report, ShowsWhatIsBeingSent) {
  auto answer = ordered_json::parse(R"({"ok": true, "domains": [
    {"name": "g1", "uuid": "u", "domid": 7}, {"name": "g2", "uuid": "v", "domid": 8}],
    "streams": [{"domid": 7, "domain": "g1", "uuid": "u", "file": "/d/g1/vmcore", "begun_ms": 1000,
                 "received_bytes": 4194304, "durable_bytes": 2097152},
                {"domid": 7, "domain": "g1", "uuid": "u", "file": ""},
                {"domid": 7, "domain": "g1", "uuid": "other"}]})");
  EXPECT_EQ(streams_table(answer["domains"], 5000), "") << "nothing, no table";
  attach_streams(answer);
  EXPECT_EQ(streams_table(answer["domains"], 5000),
            "\nSTREAM OF                 RECEIVED   DURABLE        RATE  FILE\n"
            "g1                           4 MiB     2 MiB     1 MiB/s  /d/g1/vmcore\n"
            "g1                             0 B       0 B           -  -\n");
  EXPECT_EQ(streams_text(answer["domains"][0]),
            "  stream    /d/g1/vmcore, 4 MiB received, 2 MiB durable\n"
            "  stream    -, 0 B received, 0 B durable\n");
  EXPECT_EQ(streams_text(answer["domains"][1]), "");
}

TEST(Report, ShowsWhatIsHeldAndForHowLong) {
  const auto domains = ordered_json::parse(R"([
    {"name": "g1", "uuid": "u", "domid": 7, "state": "saving", "since_ms": 1000,
     "memory_bytes": 1073741824, "window": {"bytes": 402653184, "why": "its boot took 143 MiB"},
     "note": "", "guest": {"state": "saving", "saved_percent": 42},
     "dump": {"step": "started", "held_bytes": 805306368, "released_bytes": 268435456}},
    {"name": "g2", "uuid": "v", "domid": 8, "state": "ignored", "since_ms": 1000,
     "memory_bytes": 536870912, "note": "not a PVH guest"}])");
  EXPECT_EQ(
      list_text(domains, 62000),
      "NAME                        ID STATE           SINCE    MEMORY    WINDOW      HELD "
      "SAVED\n"
      "g1                           7 saving       00:01:01     1 GiB   384 MiB   512 MiB   "
      "42%\n"
      "g2                           8 ignored      00:01:01   512 MiB         -         -     "
      "-  not a PVH guest\n");
  EXPECT_THAT(status_text(domains[0], 62000),
              HasSubstr("  window    384 MiB, chosen: its boot took 143 MiB\n"));
  EXPECT_THAT(status_text(domains[1], 62000), Not(HasSubstr("window")));
  const ordered_json answer = {{"ok", true}, {"domains", domains}};
  EXPECT_EQ(choose(answer, ""), domains);
  EXPECT_EQ(choose(answer, "8"), ordered_json::array({domains[1]}));
  EXPECT_TRUE(choose(answer, "g3").empty());
  EXPECT_TRUE(is_domain(domains[0], "g1"));
  EXPECT_TRUE(is_domain(domains[0], "7"));
  EXPECT_FALSE(is_domain(domains[0], "8"));
}

TEST(Report, ShowsHowBootsInTheWindowHaveFailed) {
  const auto domain = ordered_json::parse(R"(
    {"name": "g1", "uuid": "u", "domid": 7, "state": "waiting", "since_ms": 1000,
     "memory_bytes": 1073741824, "note": "",
     "dump": {"step": "started", "window_bytes": 536870912, "boots": 3,
              "window": {"failed": 2, "judged": 2, "why": "crashed early",
                         "grown_from": 268435456, "tried": []}}})");
  EXPECT_THAT(status_text(domain, 62000),
              HasSubstr("  window    2 failed; boot 2 crashed early, then 512 MiB instead of 256 "
                        "MiB\n"));
}

TEST(Report, ShowsRescueBoots) {
  const auto domain = ordered_json::parse(R"(
    {"name": "g1", "uuid": "u", "domid": 7, "state": "waiting", "since_ms": 1000,
     "memory_bytes": 1073741824, "note": "",
     "dump": {"step": "started", "window_bytes": 268435456, "boots": 4,
              "window": {"failed": 3, "judged": 3, "why": "crashed early", "grown_from": 0,
                         "rescue_since": 3, "tried": ["rescue-boot"]}}})");
  EXPECT_THAT(status_text(domain, 62000),
              HasSubstr("  window    3 failed; boot 3 crashed early, rescue boot from boot 3 on, "
                        "rescue-boot failed\n"));
}

// A domain may be called what another has as its number; the wrong one must not be made to crash.
TEST(Trigger, RefusesANameThatFitsTwoDomains) {
  const auto domains = ordered_json::parse(R"([
    {"name": "7", "uuid": "u", "domid": 3}, {"name": "web", "uuid": "v", "domid": 7}])");
  const auto refused = domain_to_trigger(domains, "7");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kBadData);
  EXPECT_THAT(refused.error().what(), HasSubstr("web (domain 7, v)"));
  const auto one = ordered_json::array({domains[1]});
  EXPECT_EQ(domain_to_trigger(one, "web").value(), 7U);
  EXPECT_EQ(domain_to_trigger(ordered_json::array(), "x").error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hadump
