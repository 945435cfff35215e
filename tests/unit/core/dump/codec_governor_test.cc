// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/codec_governor.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/dump/chunk.h"

namespace hadump {
namespace {

using Seconds = CodecGovernor::Seconds;

/// What pages cost with each codec: microseconds and bytes.
struct Content {
  std::array<double, kCodecRungs> us;
  std::array<double, kCodecRungs> bytes;
};
/// As measured on real memory (docs/benchmarks.md).
constexpr Content kUsual{{4.4, 12.0, 17.5, 20.0}, {2104, 1957, 1710, 1679}};
constexpr Content kText{{4.0, 9.0, 12.0, 15.0}, {1300, 1000, 800, 780}};
constexpr Content kNoise{{1.0, 2.0, 3.0, 3.5}, {4096, 4096, 4096, 4096}};

struct World {
  const char* name;
  unsigned workers = 2;
  unsigned cpus = 2;
  double target = std::numeric_limits<double>::infinity();  ///< Bytes per second.
  double under_way = 0;  ///< Bytes that the target's queue takes before write() waits.
  std::vector<Content> content{kUsual};
  double stall = 0;    ///< Seconds for which every thousandth write waits for something else.
  double most = 1.05;  ///< Times the best fixed codec; a sudden change takes time to be seen.
};

/// A dump of 4 GiB by a made-up machine: no clock but the one that is counted here. With a codec of
/// the ladder, or with what the governor says.
double seconds_for(const World& world, std::optional<std::size_t> fixed) {
  constexpr std::size_t kChunks = 8192;
  constexpr double kPages = static_cast<double>(kChunkFrames);
  constexpr double kOtherUs = 1.0;   // reading a page and looking at it
  constexpr double kCopyRate = 2e9;  // of write(), whatever the target
  const std::size_t slots = world.workers + 40;
  CodecGovernor governor(world.workers, world.cpus);
  std::vector<double> worker_free(world.workers, 0);
  std::vector<double> written(kChunks);
  std::deque<std::pair<ChunkCost, Seconds>> news;
  double writer = 0, target_free = 0;
  for (std::size_t n = 0; n < kChunks; ++n) {
    for (; news.size() > slots; news.pop_front())
      governor.took(news.front().first, news.front().second);
    double& worker = *std::min_element(worker_free.begin(), worker_free.end());
    const Content& content = world.content[n * world.content.size() / kChunks];
    ChunkCost cost;
    cost.rung = fixed.value_or(governor.rung());
    cost.pages = cost.compressed = kChunkFrames;
    cost.bytes = static_cast<std::uint64_t>(kPages * content.bytes[cost.rung]);
    cost.cpu = Seconds(kPages * (kOtherUs + content.us[cost.rung]) * 1e-6);
    cost.wall = cost.cpu * std::max(1.0, static_cast<double>(world.workers) / world.cpus);
    worker = std::max(worker, n < slots ? 0 : written[n - slots]) + cost.wall.count();
    if (!fixed && n % 64 == 0) {
      cost.sample.pages = 8;
      for (std::size_t i = 0; i < kCodecRungs; ++i) {
        cost.sample.by_rung[i] = {Seconds(8 * content.us[i] * 1e-6), 8 * content.bytes[i]};
        worker += 8 * content.us[i] * 1e-6;
      }
    }
    const double begin = std::max(writer, worker);
    const auto bytes = static_cast<double>(cost.bytes);
    target_free = std::max(target_free, begin) + bytes / world.target;
    writer = std::max(begin + bytes / kCopyRate, target_free - world.under_way / world.target);
    if (n % 1000 == 500) writer += world.stall;
    written[n] = writer;
    news.emplace_back(cost, writer - begin);
  }
  return std::max(writer, target_free);
}

class OnATarget : public testing::TestWithParam<World> {};

TEST_P(OnATarget, IsNearlyAsFastAsTheBestFixedCodec) {
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t rung = 0; rung < kCodecRungs; ++rung)
    best = std::min(best, seconds_for(GetParam(), rung));
  const double automatic = seconds_for(GetParam(), std::nullopt);
  EXPECT_LE(automatic, GetParam().most * best) << automatic << " s, and " << best;
}

std::vector<World> worlds() {
  constexpr double kUnlimited = std::numeric_limits<double>::infinity();
  constexpr double kQueue = 2 << 20;
  return {
      {"Takes100", 2, 2, 100e6, 0},
      {"Takes400", 2, 2, 400e6, 0},
      {"Takes1000", 2, 2, 1000e6, 0},
      {"TakesAll", 2, 2, kUnlimited, 0},
      {"Queued100", 2, 2, 100e6, kQueue},
      {"Queued400", 2, 2, 400e6, kQueue},
      {"Queued1000", 2, 2, 1000e6, kQueue},
      {"OneCpu100", 1, 1, 100e6, kQueue},
      {"OneCpu400", 1, 1, 400e6, kQueue},
      {"ManyCpus400", 32, 32, 400e6, kQueue},
      {"ManyCpus1000", 32, 32, 1000e6, kQueue},
      {"MoreWorkersThanCpus", 16, 2, 400e6, kQueue},
      {"ChangingContent100", 2, 2, 100e6, kQueue, {kUsual, kNoise, kText, kUsual, kText}, 0, 1.08},
      {"ChangingContent400", 2, 2, 400e6, kQueue, {kUsual, kNoise, kText, kUsual, kText}, 0, 1.08},
      {"Stalling400", 2, 2, 400e6, kQueue, {kUsual}, 0.2},
      {"Stalling1000", 2, 2, 1000e6, kQueue, {kUsual}, 0.1},
  };
}

INSTANTIATE_TEST_SUITE_P(All, OnATarget, testing::ValuesIn(worlds()),
                         [](const auto& which) { return std::string(which.param.name); });

TEST(CodecGovernor, BeginsWithTheFastestAndStaysWithoutAMeasurement) {
  CodecGovernor governor(2, 2);
  EXPECT_EQ(governor.rung(), 0U);
  for (int i = 0; i < 1000; ++i) governor.took({}, Seconds(1));
  EXPECT_EQ(governor.rung(), 0U);
}

}  // namespace
}  // namespace hadump
