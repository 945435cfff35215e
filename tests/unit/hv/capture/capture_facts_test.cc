// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/capture_facts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tests/unit/hv/bad_numbers.h"

namespace hadump {
namespace {

TEST(CaptureFactsTest, AreReadAsTheyWereWritten) {
  CaptureFacts facts;
  facts.domain.survey.ram = FrameSet{FrameRange{Gfn{0}, Gfn{1000}}};
  facts.domain.survey.absent = FrameSet{FrameRange{Gfn{5}, Gfn{7}}};
  facts.domain.survey.broken = FrameSet{FrameRange{Gfn{9}, Gfn{10}}};
  facts.domain.survey.special = FrameSet{FrameRange{Gfn{20}, Gfn{21}}};
  facts.domain.vcpus.resize(3);
  facts.domain.vcpus[2].gregs[16] = 0x1234567890abcdef;
  facts.domain.vmcoreinfo_note = {std::byte{1}, std::byte{0xfe}};
  facts.domain.page_offset = GuestVirt{0xffff888000000000};
  facts.blueprint = "{\"c_info\": {}}";
  const std::string text = to_json(facts);
  const auto read = parse_facts(text);
  ASSERT_TRUE(read) << read.error().what();
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(read->domain.vcpus[2].gregs[16], 0x1234567890abcdef);
  EXPECT_EQ(read->domain.survey.dumped(), facts.domain.survey.dumped());
}

TEST(CaptureFactsTest, FramesThatWereMovedAreAnotherVersion) {
  using Json = nlohmann::ordered_json;
  CaptureFacts facts;
  facts.domain.survey.ram = FrameSet{FrameRange{Gfn{0}, Gfn{1000}}};
  EXPECT_EQ(Json::parse(to_json(facts))["version"], 1);
  facts.domain.moved = {{{Gfn{0}, Gfn{10}}, Gfn{2000}}, {{Gfn{90}, Gfn{100}}, Gfn{2010}}};
  const Json good = Json::parse(to_json(facts));
  EXPECT_EQ(good["version"], 2);
  const auto read = parse_facts(good.dump());
  ASSERT_TRUE(read) << read.error().what();
  EXPECT_EQ(read->domain.moved, facts.domain.moved);
  for (const char* bad : {"7", "[[0, 10]]", "[[10, 10, 5]]", "[[5, 9, 1], [0, 3, 1]]",
                          "[[0, 10, 18446744073709551610]]"}) {
    Json json = good;
    json["moved"] = Json::parse(bad);
    EXPECT_FALSE(parse_facts(json.dump())) << bad;
  }
}

TEST(CaptureFactsTest, WholeNumbersOnlyAreRead) {
  CaptureFacts facts;
  facts.domain.survey.ram = FrameSet{FrameRange{Gfn{0}, Gfn{1000}}};
  facts.domain.moved = {{{Gfn{0}, Gfn{10}}, Gfn{2000}}};
  const auto bad = with_bad_numbers(to_json(facts));
  EXPECT_GE(bad.size(), 7U * 6);
  for (const std::string& one : bad) EXPECT_FALSE(parse_facts(one)) << one;
}

TEST(CaptureFactsTest, NothingElseIsRead) {
  CaptureFacts facts;
  facts.domain.survey.ram = FrameSet{FrameRange{Gfn{0}, Gfn{1000}}};
  facts.domain.vcpus.resize(1);
  const auto good = nlohmann::ordered_json::parse(to_json(facts));
  using Json = nlohmann::ordered_json;
  const std::pair<const char*, Json> bad[] = {{"version", 2},
                                              {"ram", Json::array({{10, 10}})},
                                              {"ram", Json::array({{10, 20}, {5, 30}})},
                                              {"ram", Json::array({{0, std::uint64_t{1} << 60}})},
                                              {"ram", Json::array({{-1, 5}})},
                                              {"ram", "all"},
                                              {"vcpus", Json::array({"00"})},
                                              {"vcpus", Json::array({7})},
                                              {"vmcoreinfo", "0g"},
                                              {"vmcoreinfo", "012"},
                                              {"page_offset", "x"},
                                              {"blueprint", 5}};
  for (const auto& [key, value] : bad) {
    Json json = good;
    json[key] = value;
    EXPECT_FALSE(parse_facts(json.dump())) << json.dump();
  }
  for (const char* text : {"", "[]", "null", "{}"}) EXPECT_FALSE(parse_facts(text)) << text;
}

}  // namespace
}  // namespace hadump
