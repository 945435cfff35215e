// SPDX-License-Identifier: GPL-2.0-or-later
// The saver's own decisions, against a writer that does as it is told.
#include <gmock/gmock.h>

#include "core/dump/dump_writer.h"
#include "core/save/saver.h"

namespace hadump {
namespace {

// Takes everything, except that a portion at level 0 stops in its middle, as on a full disk: the
// first half is durable then, as after the first step of a large portion.
class HalfWriter : public DumpWriter {
 public:
  explicit HalfWriter(FrameSet frames) : left_(std::move(frames)) {}

  FrameSet next_portion(std::uint64_t) const override { return left_; }
  Result<> write_portion(const FrameSet& portion) override {
    if (left_.intersection(portion) != portion) return fail(ErrorCode::kBadData, "written already");
    if (broken_) return fail(ErrorCode::kBusy, "this dump has failed");
    if (level_ == 0) {
      broken_ = is_pipe_;
      const FrameRange all = portion.ranges().front();
      left_.erase({all.begin, Gfn{(all.begin.value + all.end.value) / 2}});
      return fail(ErrorCode::kNoSpace, "the disk is full");
    }
    left_.erase(portion);
    return {};
  }
  Result<> adopt(std::span<const LevelStep>) override { return {}; }
  Result<> make_durable() override { return {}; }
  void set_dump_level(unsigned level) override { level_ = level; }
  Result<DumpSummary> finish() override { return summary(); }
  DumpSummary summary() const override { return {}; }

  bool is_pipe_ = false;

 private:
  FrameSet left_;
  unsigned level_ = 0;
  bool broken_ = false;
};

class Notes : public DurableRecord {
 public:
  Result<> add_durable(const FrameSet& frames, const FrameSet&, unsigned level) override {
    steps_.push_back({level, frames});
    return {};
  }
  std::vector<LevelStep> steps_;
};

const FrameSet kFrames{{Gfn{0}, Gfn{1000}}};

TEST(Saver, FallsBackFromWhereALargePortionStopped) {
  HalfWriter writer(kFrames);
  Notes notes;
  Saver saver(writer, &notes, nullptr, kFrames, {}, {1_GiB, 0, {31}, {}});
  const auto saved = saver.save_portions();
  ASSERT_TRUE(saved) << saved.error().what();
  // Each at its own level: to go on in place, the same pages have to be left out again.
  const std::vector<LevelStep> wanted{{0, {{Gfn{0}, Gfn{500}}}}, {31, {{Gfn{500}, Gfn{1000}}}}};
  EXPECT_EQ(notes.steps_, wanted);
}

TEST(Saver, SaysThatAPipeIsFullAndNotThatItIsBroken) {
  HalfWriter writer(kFrames);
  writer.is_pipe_ = true;
  Saver saver(writer, nullptr, nullptr, kFrames, {}, {1_GiB, 0, {17, 31}, {}});
  EXPECT_EQ(saver.save_portions().error().code(), ErrorCode::kNoSpace);
}

class ReleaseCalls : public RegionReleaser {
 public:
  Result<RegionTable> regions() override { return fail(ErrorCode::kNotFound, "not asked for"); }
  Result<> release(FrameRange range) override {
    calls_.push_back(range);
    return {};
  }
  Result<> report_progress(std::string_view) override { return {}; }
  std::vector<FrameRange> calls_;
};

// A balloon's holes are single frames anywhere; a write for each run between them would be tens of
// thousands.
TEST(BlockReleaser, ReleasesABlockWithHolesByOneWrite) {
  constexpr std::uint64_t kBlock = 1_MiB >> kFrameShift;
  FrameSet held{{Gfn{kBlock}, Gfn{4 * kBlock}}};
  FrameSet holes;
  for (std::uint64_t gfn = kBlock; gfn < 2 * kBlock; gfn += 3)
    holes.insert({Gfn{gfn}, Gfn{gfn + 1}});
  holes.insert({Gfn{2 * kBlock}, Gfn{3 * kBlock}});  // A whole block, which nobody need ask for.
  held.erase(holes);
  const FrameSet by_hand{{Gfn{4 * kBlock - 8}, Gfn{4 * kBlock - 4}}};
  held.erase(by_hand);
  const std::uint64_t all = held.bytes();
  ReleaseCalls calls;
  BlockReleaser blocks(calls, held, holes, 1_MiB, [](const std::string&) { FAIL(); });

  blocks.release_everywhere([](FrameRange) { return true; });

  EXPECT_THAT(calls.calls_, testing::ElementsAre(FrameRange{Gfn{kBlock}, Gfn{2 * kBlock}},
                                                 FrameRange{Gfn{3 * kBlock}, Gfn{4 * kBlock - 8}},
                                                 FrameRange{Gfn{4 * kBlock - 4}, Gfn{4 * kBlock}}));
  EXPECT_TRUE(blocks.held().empty());
  EXPECT_EQ(blocks.released_bytes(), all);
}

}  // namespace
}  // namespace hadump
