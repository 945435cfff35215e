// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/lzo_encoder.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "core/vmcore/page_expander.h"

namespace hadump {
namespace {

using Page = std::vector<std::byte>;

constexpr std::byte kGuard{0xA5};

/// Encodes into a buffer of just the promised size, with a guard after it, and decodes again.
std::size_t round_trip(LzoEncoder& encoder, const Page& page) {
  std::vector<std::byte> out(LzoEncoder::kMaxOutput + 64, kGuard);
  const std::size_t size = encoder.encode(page, std::span(out).first(LzoEncoder::kMaxOutput));
  EXPECT_TRUE(std::all_of(out.begin() + LzoEncoder::kMaxOutput, out.end(),
                          [](std::byte byte) { return byte == kGuard; }));
  EXPECT_LE(size, kFrameSize + 21);
  Page back(kFrameSize);
  EXPECT_TRUE(PageExpander().expand(find_codec("lzo")->flag, std::span(out).first(size), back));
  EXPECT_EQ(back, page);
  return size;
}

/// A page whose byte at each place comes from `next`.
Page page_of(const std::function<unsigned(std::size_t)>& next) {
  Page page(kFrameSize);
  for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::byte>(next(i));
  return page;
}

TEST(LzoEncoder, KeepsNoise) {
  LzoEncoder encoder;
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i)
    EXPECT_GT(round_trip(encoder, page_of([&](std::size_t) { return random(); })), kFrameSize);
}

TEST(LzoEncoder, ShrinksRuns) {
  LzoEncoder encoder;
  for (unsigned period : {1U, 2U, 3U, 4U, 5U, 8U, 31U, 64U, 255U})
    EXPECT_LT(round_trip(encoder, page_of([&](std::size_t i) { return i % period; })),
              400U + period);
}

/// Runs of noise and copies of what came before, of every length around the format's borders: long
/// and short literals, short, long and far matches, and all of them at the end of the page too.
TEST(LzoEncoder, KeepsAnyMixtureOfLiteralsAndCopies) {
  LzoEncoder encoder;
  std::mt19937 random(7);
  const auto below = [&](unsigned n) { return random() % n; };
  for (int round = 0; round < 3000; ++round) {
    Page page;
    const unsigned longest = 1U << (1 + below(11));
    while (page.size() < kFrameSize) {
      const std::size_t literals = below(longest);
      for (std::size_t i = 0; i < literals; ++i) page.push_back(static_cast<std::byte>(random()));
      if (page.empty()) continue;
      const std::size_t distance = 1 + below(static_cast<unsigned>(page.size()));
      const std::size_t length = below(longest);
      for (std::size_t i = 0; i < length; ++i) page.push_back(page[page.size() - distance]);
    }
    page.resize(kFrameSize);
    round_trip(encoder, page);
    if (testing::Test::HasFailure()) FAIL() << "round " << round;
  }
}

/// Few different bytes: matches everywhere, each of them ambiguous.
TEST(LzoEncoder, KeepsPoorAlphabets) {
  LzoEncoder encoder;
  std::mt19937 random(9);
  for (int round = 0; round < 2000; ++round) {
    const unsigned letters = 1 + random() % 8;
    round_trip(encoder, page_of([&](std::size_t) { return random() % letters; }));
    if (testing::Test::HasFailure()) FAIL() << "round " << round;
  }
}

/// What a page becomes must not depend on the pages before: a dump's bytes are the same for any
/// number of workers.
TEST(LzoEncoder, ForgetsThePageBefore) {
  std::mt19937 random(11);
  const Page page = page_of([&](std::size_t i) { return i % 7 + random() % 4; });
  const Page other = page_of([&](std::size_t i) { return i % 5 + random() % 3; });
  std::vector<std::byte> fresh(LzoEncoder::kMaxOutput);
  std::vector<std::byte> used(LzoEncoder::kMaxOutput);
  LzoEncoder first;
  const std::size_t size = first.encode(page, fresh);
  LzoEncoder second;
  second.encode(other, used);
  ASSERT_EQ(second.encode(page, used), size);
  EXPECT_EQ(std::memcmp(fresh.data(), used.data(), size), 0);
}

}  // namespace
}  // namespace hadump
