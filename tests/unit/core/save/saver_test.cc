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
  FrameLedger ledger({});
  ledger.expect(kFrames, {}, {});
  Saver saver(writer, &notes, nullptr, ledger, {}, {1_GiB, 0, {31}});
  const auto saved = saver.save_portions();
  ASSERT_TRUE(saved) << saved.error().what();
  // Each at its own level: to go on in place, the same pages have to be left out again.
  const std::vector<LevelStep> wanted{{0, {{Gfn{0}, Gfn{500}}}}, {31, {{Gfn{500}, Gfn{1000}}}}};
  EXPECT_EQ(notes.steps_, wanted);
}

// Takes a hundred frames at a time.
class SmallWriter : public HalfWriter {
 public:
  using HalfWriter::HalfWriter;
  FrameSet next_portion(std::uint64_t) const override {
    const FrameSet left = HalfWriter::next_portion(0);
    if (left.empty()) return {};
    const Gfn begin = left.ranges().front().begin;
    return left.intersection({{begin, Gfn{begin.value + 100}}});
  }
};

class FullNotes : public Notes {
 public:
  Result<> add_durable(const FrameSet& frames, const FrameSet& lost, unsigned level) override {
    ++calls_;
    return calls_ == 3 ? fail(ErrorCode::kNoSpace, "the journal's disk is full")
                       : Notes::add_durable(frames, lost, level);
  }
  int calls_ = 0;
};

// Its end may be torn, and a reader stops there: what is noted after that would be lost, and with
// it the memory that is given back for it.
TEST(Saver, NotesNothingMoreWhenTheJournalHadNoRoom) {
  SmallWriter writer(kFrames);
  writer.set_dump_level(31);
  FullNotes notes;
  FrameLedger ledger({});
  ledger.expect(kFrames, {}, {});
  Saver saver(writer, &notes, nullptr, ledger, {}, {1_GiB, 31, {}});
  EXPECT_EQ(saver.save_portions().error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(notes.calls_, 3);
}

TEST(Saver, SaysThatAPipeIsFullAndNotThatItIsBroken) {
  HalfWriter writer(kFrames);
  writer.is_pipe_ = true;
  FrameLedger ledger({});
  ledger.expect(kFrames, {}, {});
  Saver saver(writer, nullptr, nullptr, ledger, {}, {1_GiB, 0, {17, 31}});
  EXPECT_EQ(saver.save_portions().error().code(), ErrorCode::kNoSpace);
}

}  // namespace
}  // namespace hadump
