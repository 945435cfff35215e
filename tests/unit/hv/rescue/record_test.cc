// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/record.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/bad_numbers.h"

namespace hadump {
namespace {

TEST(Record, ComesBackAsItWas) {
  DomainRecord record;
  record.uuid = "u-1";
  record.name = "web \"1\"";
  record.boot_id = "b-1";
  record.step = Step::kReset;
  record.mode = SaveMode::kRegistered;
  record.save_area = frames_of_bytes(4_GiB, 2_MiB);
  record.dump_id = {1, 2, 255};
  record.crashes = {5, 6};
  record.times = {{"copy", 1.5}};
  record.rewrite_pending = true;
  record.old_target_kib = 77;
  const auto back = parse_record(to_json(record));
  ASSERT_TRUE(back) << back.error().what();
  EXPECT_EQ(to_json(*back), to_json(record));
  EXPECT_EQ(back->step, Step::kReset);
  EXPECT_EQ(back->save_area, record.save_area);
}

TEST(Record, RefusesAPlaceThatCannotBe) {
  const std::string good = to_json(DomainRecord{});
  const std::string nowhere = "\"address\": 0,\n    \"bytes\": 0";
  ASSERT_NE(good.find(nowhere), std::string::npos);
  for (const auto& [address, bytes] : {std::pair<std::uint64_t, std::uint64_t>{~0xfffULL, 0x2000},
                                       {0x2000, ~0xfffULL},
                                       {HADUMP_MAX_ADDRESS, 0x1000},
                                       {0x1001, 0x1000},
                                       {0x1000, 0x1001}}) {
    std::string bad = good;
    bad.replace(bad.find(nowhere), nowhere.size(),
                fmt::format("\"address\": {}, \"bytes\": {}", address, bytes));
    EXPECT_FALSE(parse_record(bad)) << bad;
  }
}

// A number that is cut would name another domain.
TEST(Record, RefusesADomainNumberThatCannotBe) {
  const std::string good = to_json(DomainRecord{});
  for (const char* number : {"4294967303", "65543", "-1"}) {
    std::string bad = good;
    bad.replace(bad.find("\"domid\": 0"), 10, fmt::format("\"domid\": {}", number));
    EXPECT_FALSE(parse_record(bad)) << bad;
  }
}

// nlohmann takes any number for any other; a fraction that is too large is undefined behaviour.
TEST(Record, TakesWholeNumbersOnly) {
  DomainRecord record;
  record.crashes = {5};
  const std::string good = to_json(record);
  const auto bad = with_bad_numbers(good, "/times_ms");
  EXPECT_GE(bad.size(), 20U * 6);
  for (const std::string& one : bad) EXPECT_FALSE(parse_record(one)) << one;
  for (const char* key : {"boots", "quick_restarts"}) {
    auto json = nlohmann::ordered_json::parse(good);
    json[key] = 1ULL << 32;
    EXPECT_FALSE(parse_record(json.dump())) << "it has 32 bits: " << key;
  }
}

TEST(Record, RemembersFramesThatAreBeingReplaced) {
  DomainRecord record;
  EXPECT_EQ(to_json(record).find("replaced"), std::string::npos);
  EXPECT_EQ(nlohmann::ordered_json::parse(to_json(record))["version"], 1) << "as older ones";
  record.replaced = {{Gfn{3}, Gfn{5}}, {Gfn{0x100000}, Gfn{0x100001}}};
  const std::string json = to_json(record);
  const auto again = parse_record(json);
  ASSERT_TRUE(again) << again.error().what();
  EXPECT_EQ(again->replaced, record.replaced);

  EXPECT_EQ(nlohmann::ordered_json::parse(json)["version"], 2) << "an older hadumpd refuses it";

  auto bad = nlohmann::ordered_json::parse(json);
  for (const char* frames :
       {"[[5, 3]]", "[[3, 3]]", "[[0, 513]]", "[[0, 300], [400, 700]]", "[[1]]", "[3]", "[[-1, 3]]",
        "[[18446744073709551614, 18446744073709551615]]"}) {
    bad["replaced"] = nlohmann::ordered_json::parse(frames);
    EXPECT_FALSE(parse_record(bad.dump())) << frames;
  }
}

TEST(Record, SurvivesDamage) {
  const std::string good = to_json(DomainRecord{});
  std::mt19937 random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string bent = good;
    bent[random() % bent.size()] = static_cast<char>(random());
    bent.resize(random() % 4 == 0 ? random() % bent.size() : bent.size());
    static_cast<void>(parse_record(bent));
  }
  EXPECT_FALSE(parse_record("{}"));
  EXPECT_FALSE(parse_record(""));
}

}  // namespace
}  // namespace hadump
