// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/codec.h"

#include <gmock/gmock.h>

#include <array>
#include <random>

#include "core/dump/page_test.h"
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

class Codec : public testing::TestWithParam<const char*> {};

TEST_P(Codec, GivesBackWhatItCompressed) {
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
    ASSERT_TRUE(PageExpander().expand(kdump_flag(choice->kind), std::span(out).first(size), back));
    EXPECT_EQ(back, page);
  }
}

TEST_P(Codec, SaysThatNoiseIsNotWorthIt) {
  auto compressor = make_compressor(*parse_codec(GetParam()));
  std::vector<std::byte> out(kMaxCompressedPage);
  EXPECT_GE((*compressor)->compress(random_page(), out), kFrameSize);
}

TEST_P(Codec, RefusesCorruptPages) {
  const auto choice = parse_codec(GetParam());
  const std::vector<std::byte> noise = random_page();
  std::vector<std::byte> back(kFrameSize);
  EXPECT_FALSE(PageExpander().expand(kdump_flag(choice->kind), std::span(noise).first(100), back));
}

INSTANTIATE_TEST_SUITE_P(All, Codec,
                         testing::Values("zlib", "zlib:6", "lzo", "snappy", "zstd", "zstd:-5",
                                         "zstd:3"));

TEST(ParseCodec, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "lz4", "zlib:", "zlib:10", "zlib:x", "lzo:1", "zstd:20", "zstd:0",
                           "zstd:-101", "none:1"})
    EXPECT_FALSE(parse_codec(text)) << text;
}

TEST(IsZeroPage, SeesEveryByte) {
  std::vector<std::byte> page(kFrameSize);
  EXPECT_TRUE(is_zero_page(page));
  for (std::size_t i : {0U, 1U, 63U, 64U, 2048U, 4095U}) {
    page[i] = std::byte{1};
    EXPECT_FALSE(is_zero_page(page)) << i;
    page[i] = std::byte{0};
  }
}

TEST(LooksIncompressible, TellsNoiseFromText) {
  EXPECT_TRUE(looks_incompressible(random_page()));
  EXPECT_FALSE(looks_incompressible(text_page()));
}

}  // namespace
}  // namespace hadump
