// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "hv/capture/capture_mode.h"
#include "hv/capture/capture_modes.h"
#include "hv/capture/capture_record.h"
#include "hv/capture/panic_line.h"
#include "tests/unit/hv/bad_numbers.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;

using testing::HasSubstr;

// Which records of earlier releases lack.
const std::set<std::string> kNewKeys = {"aside_uuid", "begun_kib",        "successor_kib",
                                        "full_kib",   "given_back_bytes", "pages",
                                        "parks",      "unattended",       "waiting_dump"};

CaptureRecord sample() {
  CaptureRecord record;
  record.name = "web-20261128T212500";
  record.domain = "web";
  record.uuid = "u";
  record.domid = 7;
  record.boot_id = "b";
  record.dump_id = std::string(32, 'a');
  record.order.to = "/var/captures/";
  record.order.restart = true;
  record.order.dump_level = "1,31";
  record.order.pages = "/root/list";
  record.state = CaptureState::kWriting;
  record.file = "/var/captures/web/vmcore";
  record.panic = "Kernel panic";
  record.begun_ms = 17;
  record.memory_bytes = 1ULL << 40;
  record.aside_uuid = "v";
  record.begun_kib = 1;
  record.successor_kib = 2;
  record.full_kib = 3;
  record.given_back_bytes = 4;
  return record;
}

// An older hadumpd must leave it alone: it would write the memory of the wrong kernel.
TEST(CaptureRecord, OfAWaitingDumpHasAnotherVersion) {
  EXPECT_EQ(Json::parse(to_json(sample()))["version"], 1);
  CaptureRecord record = sample();
  record.waiting_dump = record.dump_id;
  record.parks = true;
  record.state = CaptureState::kKept;
  Json json = Json::parse(to_json(record));
  EXPECT_EQ(json["version"], 2);
  const auto back = parse_capture_record(json.dump());
  ASSERT_TRUE(back) << back.error().what();
  EXPECT_EQ(*back, record);
  json["version"] = 1;
  EXPECT_FALSE(parse_capture_record(json.dump()));
}

TEST(CaptureRecord, ReadsWhatItHasWritten) {
  const auto back = parse_capture_record(to_json(sample()));
  ASSERT_TRUE(back) << back.error().what();
  EXPECT_EQ(*back, sample());
}

TEST(CaptureRecord, ALiveOnesToo) {
  CaptureRecord record = sample();
  record.order.mode = "live";
  record.order.max_stop_ms = 17;
  record.order.if_busy = "give-up";
  record.stop_us = 4711;
  for (const CaptureState state : {CaptureState::kTracking, CaptureState::kStopping}) {
    record.state = state;
    const auto back = parse_capture_record(to_json(record));
    ASSERT_TRUE(back) << back.error().what();
    EXPECT_EQ(*back, record);
  }
}

TEST(CaptureRecord, AThrottledOnesToo) {
  CaptureRecord record = sample();
  record.order.mode = "live";
  record.throttled = CapChange{.before = 80, .set = {20, 10}};
  const std::string text = to_json(record);
  const auto back = parse_capture_record(text);
  ASSERT_TRUE(back) << back.error().what();
  EXPECT_EQ(*back, record);
  for (const char* bad : {R"({"cap_before":80})", R"({"cap_before":65536,"caps":[1]})",
                          R"({"cap_before":80,"caps":[65536]})", R"({"cap_before":80,"caps":[-1]})",
                          R"({"cap_before":80,"caps":7})", R"([1,2])", R"("20")"}) {
    Json json = Json::parse(text);
    json["throttled"] = Json::parse(bad);
    const auto read = parse_capture_record(json.dump());
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code(), ErrorCode::kBadData) << bad;
  }
}

TEST(CaptureRecord, TakesWholeNumbersOnly) {
  CaptureRecord record = sample();
  record.order.mode = "live";
  const auto bad = with_bad_numbers(to_json(record));
  EXPECT_GE(bad.size(), 12U * 6);
  for (const std::string& one : bad) EXPECT_FALSE(parse_capture_record(one)) << one;
}

TEST(CaptureRecord, RefusesWhatIsNone) {
  const Json good = Json::parse(to_json(sample()));
  EXPECT_FALSE(parse_capture_record(""));
  EXPECT_FALSE(parse_capture_record("[]"));
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    bad.erase(key);
    EXPECT_EQ(parse_capture_record(bad.dump()).has_value(), kNewKeys.contains(key)) << key;
  }
  for (const auto& [key, value] : {std::pair<const char*, Json>{"version", 2},
                                   {"state", "exploding"},
                                   {"name", "../../etc/passwd"},
                                   {"name", ".hidden"},
                                   {"domid", "x"},
                                   {"domid", (1ULL << 32) + 7},
                                   {"domid", -1}}) {
    Json bad = good;
    bad[key] = value;
    EXPECT_FALSE(parse_capture_record(bad.dump())) << key << value;
  }
}

TEST(CaptureOrder, NamesTheOptionThatMakesNoSense) {
  const auto complaint = [](auto change) {
    CaptureOrder order = sample().order;
    change(order);
    const auto checked = check_order(order);
    return checked ? std::string() : checked.error().what();
  };
  EXPECT_EQ(complaint([](CaptureOrder&) {}), "");
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.mode = "alias-to-be"; }), HasSubstr("--mode"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.to = ""; }), HasSubstr("--to"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.to = "here"; }), HasSubstr("--to"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.to = "-"; }), HasSubstr("--to"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.to = "/a\nb"; }), HasSubstr("--to"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.to = "/" + std::string(4000, 'a'); }),
              HasSubstr("--to"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.format = "flattened"; }), HasSubstr("--format"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.format = "zip"; }), HasSubstr("--format"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.compress = "zip"; }), HasSubstr("--compress"));
  EXPECT_EQ(complaint([](CaptureOrder& o) { o.format = "elf"; }), "");
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.format = "elf", o.compress = "zstd"; }),
              HasSubstr("elf is not compressed"));
  EXPECT_THAT(complaint([](CaptureOrder& o) { o.dump_level = "32"; }), HasSubstr("--dump-level"));
}

TEST(PanicLine, IsTheLastPanicOrFault) {
  EXPECT_EQ(find_panic_line("[    1.0] all is well\n"), "");
  EXPECT_EQ(find_panic_line(""), "");
  EXPECT_EQ(find_panic_line("[    1.0] BUG: unable to handle\n[    1.1] Oops: 0002\n"),
            "Oops: 0002");
  EXPECT_EQ(find_panic_line("[    1.000000] Kernel panic - not syncing: sysrq triggered crash\n"
                            "[    1.1] BUG: after it\n"),
            "Kernel panic - not syncing: sysrq triggered crash");
  EXPECT_EQ(find_panic_line("Kernel panic - not syncing: no time").size(), 35U);
  EXPECT_EQ(find_panic_line("[ 1.0] Kernel panic - not syncing: " + std::string(5000, 'x')).size(),
            200U);
  // A program's words in the log are no panic.
  EXPECT_EQ(find_panic_line("[ 1.0] init: Kernel panic - not syncing\n"), "");
}

}  // namespace
}  // namespace hadump
