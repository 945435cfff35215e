// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/elf_image.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "core/dump/elf_format.h"
#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;

/// Reads it in pieces of odd sizes, as programs do.
Result<std::vector<std::byte>> read_all(const ElfImage& image, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes;
  std::vector<std::byte> piece(40000);
  for (;;) {
    const std::size_t wanted = 1 + random() % piece.size();
    const auto got = image.read(bytes.size(), std::span(piece).first(wanted));
    if (!got) return fail(Result<std::size_t>(got));
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(*got));
    if (*got < wanted) return bytes;
  }
}

TEST(ElfImage, HasEveryPageOfTheDump) {
  const auto machine = make_machine();
  const auto image = ElfImage::make(*machine);
  ASSERT_TRUE(image) << image.error().what();
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const auto bytes = read_all(*image, seed);
    ASSERT_TRUE(bytes) << bytes.error().what();
    EXPECT_EQ(bytes->size(), image->bytes());
    const auto back = read_elf(*bytes);
    ASSERT_TRUE(back);
    EXPECT_FALSE(back->incomplete);
    EXPECT_EQ(frames_of(*back), machine->layout().frames);
    for (const auto& [gfn, page] : back->pages)
      ASSERT_TRUE(same_page(page, page_of(*machine, gfn))) << gfn.value;
  }
}

TEST(ElfImage, EndsWhereItEnds) {
  const auto machine = make_machine();
  const auto image = ElfImage::make(*machine);
  std::vector<std::byte> out(100);
  EXPECT_EQ(image->read(image->bytes(), out).value(), 0U);
  EXPECT_EQ(image->read(~std::uint64_t{0}, out).value(), 0U);
  EXPECT_EQ(image->read(image->bytes() - 7, out).value(), 7U);
  EXPECT_EQ(image->read(0, {}).value(), 0U);
}

/// A source that says by its tables which frames it has.
class Filtered : public InMemoryVmcore {
 public:
  Filtered(const FrameSet& frames, FrameSet left_out)
      : InMemoryVmcore(frames), left_out_(std::move(left_out)) {}
  Result<FrameSet> present_in(FrameRange range) const override {
    FrameSet present = layout().frames.intersection(range);
    present.erase(left_out_);
    return present;
  }

 private:
  FrameSet left_out_;
};

TEST(ElfImage, LongRunsThatAreLeftOutAreWithoutContents) {
  const FrameSet all{{Gfn{10}, Gfn{2000}}};
  const FrameRange short_run{Gfn{20}, Gfn{30}}, long_run{Gfn{500}, Gfn{900}};
  Filtered machine(all, FrameSet{short_run, long_run});
  for (std::uint64_t gfn = 10; gfn < 2000; ++gfn) machine.fill(Gfn{gfn}, std::byte{7});
  const auto image = ElfImage::make(machine);
  ASSERT_TRUE(image);
  EXPECT_LT(image->bytes(), (1990 - 400 + 8) * kFrameSize);
  const auto back = read_elf(read_all(*image).value());
  ASSERT_TRUE(back);
  FrameSet expected = all;
  expected.erase(long_run);
  EXPECT_EQ(frames_of(*back), expected);
}

TEST(ElfImage, IsRefusedInMorePiecesThanAnElfCoreHasRoomFor) {
  FrameSet frames;
  for (std::uint64_t i = 0; i < 33000; ++i) frames.insert({Gfn{3 * i}, Gfn{3 * i + 1}});
  const InMemoryVmcore machine(frames);
  const auto image = ElfImage::make(machine);
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().what(), HasSubstr("33000 pieces"));
}

// Never zeros in the place of what was there.
TEST(ElfImage, WhatIsLostIsAnError) {
  InMemoryVmcore machine(FrameSet{{Gfn{0}, Gfn{100}}});
  machine.refuse(Gfn{50});
  const auto image = ElfImage::make(machine);
  ASSERT_TRUE(image);
  const auto bytes = read_all(*image);
  ASSERT_FALSE(bytes);
  EXPECT_THAT(bytes.error().what(), HasSubstr("lost"));
}

}  // namespace
}  // namespace hadump
