// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/codec.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <random>
#include <string>
#include <vector>

#include "core/vmcore/kdump_layout.h"
#include "core/vmcore/page_expander.h"

namespace hadump {
namespace {

std::vector<std::byte> text_page() {
  std::vector<std::byte> page(kFrameSize);
  for (std::size_t i = 0; i < page.size(); ++i)
    page[i] = static_cast<std::byte>(
        static_cast<std::size_t>("a kernel's text, more or less: "[i % 31]) + i / 1024);
  return page;
}

std::vector<std::byte> random_page() {
  std::mt19937 random(3);
  std::vector<std::byte> page(kFrameSize);
  for (std::byte& byte : page) byte = static_cast<std::byte>(random());
  return page;
}

class EveryCodec : public testing::TestWithParam<std::string> {};

TEST_P(EveryCodec, GivesBackWhatItCompressed) {
  const auto choice = parse_codec(GetParam());
  ASSERT_TRUE(choice) << choice.error().what();
  auto compressor = make_compressor(*choice);
  ASSERT_TRUE(compressor) << compressor.error().what();
  std::vector<std::byte> out(kMaxCompressedPage);
  for (int round = 0; round < 3; ++round) {  // the context is used again
    const std::vector<std::byte> page = text_page();
    const std::size_t size = (*compressor)->compress(page, out);
    ASSERT_LT(size, kFrameSize / 2);
    std::vector<std::byte> back(kFrameSize);
    ASSERT_TRUE(PageExpander().expand(choice->codec->flag, std::span(out).first(size), back));
    EXPECT_EQ(back, page);
  }
}

TEST_P(EveryCodec, SaysThatNoiseIsNotWorthIt) {
  auto compressor = make_compressor(*parse_codec(GetParam()));
  std::vector<std::byte> out(kMaxCompressedPage);
  EXPECT_GE((*compressor)->compress(random_page(), out), kFrameSize);
}

TEST_P(EveryCodec, RefusesCorruptPages) {
  const auto choice = parse_codec(GetParam());
  const std::vector<std::byte> noise = random_page();
  std::vector<std::byte> back(kFrameSize);
  EXPECT_FALSE(PageExpander().expand(choice->codec->flag, std::span(noise).first(100), back));
}

/// Every row of the table, at its default, its weakest and its strongest level.
std::vector<std::string> every_choice() {
  std::vector<std::string> choices;
  for (const Codec& codec : codecs()) {
    choices.emplace_back(codec.name);
    if (!codec.has_levels()) continue;
    choices.push_back(fmt::format("{}:{}", codec.name, codec.min_level));
    choices.push_back(fmt::format("{}:{}", codec.name, codec.max_level));
  }
  return choices;
}

INSTANTIATE_TEST_SUITE_P(All, EveryCodec, testing::ValuesIn(every_choice()), [](const auto& which) {
  std::string name = which.param;
  std::replace(name.begin(), name.end(), ':', '_');
  std::replace(name.begin(), name.end(), '-', 'm');
  return name;
});

TEST(ParseCodec, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "lz4", "zlib:", "zlib:10", "zlib:x", "lzo:1", "zstd:20", "zstd:0",
                           "zstd:-101", "none:1"})
    EXPECT_FALSE(parse_codec(text)) << text;
}

TEST(CodecTable, HasOneFlagForEachRowAndNoneOfTheFormats) {
  std::uint32_t all = kKdumpIncomplete | kKdumpExcludedVmemmap;
  for (const Codec& codec : codecs()) {
    EXPECT_EQ(std::popcount(codec.flag), 1) << codec.name;
    EXPECT_EQ(all & codec.flag, 0U) << codec.name;
    all |= codec.flag;
    EXPECT_EQ(find_codec(codec.name), &codec);
    EXPECT_THAT(codec_help(), testing::HasSubstr(std::string(codec.name)));
  }
}

TEST(CodecHelp, SaysWhatCanBeGiven) {
  EXPECT_EQ(codec_help(),
            "none, zlib, lzo, snappy, zstd or auto; with a level: zlib:1 to 9, zstd:-100 to 19");
  EXPECT_EQ(name_of(*parse_codec("auto")), "auto");
  EXPECT_EQ(name_of(*parse_codec("none")), "none");
  EXPECT_EQ(name_of(*parse_codec("zstd:-5")), "zstd");
}

}  // namespace
}  // namespace hadump
