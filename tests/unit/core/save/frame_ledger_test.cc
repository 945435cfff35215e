// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/frame_ledger.h"

#include <gmock/gmock.h>

#include <array>
#include <random>

namespace hadump {
namespace {

FrameRange range(std::uint64_t begin, std::uint64_t end) {
  return {Gfn{begin}, Gfn{end}};
}

RegionTable table(std::initializer_list<Region> regions) {
  return RegionTable(std::vector<Region>(regions));
}

TEST(FrameLedger, ReleasesNothingThatIsNotSafe) {
  FrameLedger ledger(table({{range(0, 100), RegionState::kHeld}}));
  ledger.expect({range(0, 100)}, {}, {});
  EXPECT_FALSE(ledger.check_release(range(0, 10)));
  ASSERT_TRUE(ledger.note_durable({range(0, 50)}, {range(20, 21)}));
  EXPECT_TRUE(ledger.check_release(range(0, 20)));
  EXPECT_FALSE(ledger.check_release(range(0, 21)));  // Lost: another attempt may read it.
  EXPECT_FALSE(ledger.check_release(range(40, 51)));
  ledger.give_up_lost();
  EXPECT_TRUE(ledger.check_release(range(0, 21)));
}

TEST(FrameLedger, ReleasesNothingTwice) {
  FrameLedger ledger(
      table({{range(0, 100), RegionState::kHeld}, {range(100, 110), RegionState::kHole}}));
  ledger.expect({range(0, 100)}, {range(0, 100)}, {});
  EXPECT_TRUE(ledger.check_release(range(90, 105)));
  ledger.note_released(range(90, 105));
  EXPECT_EQ(ledger.bytes_released(), 10 * kFrameSize);
  EXPECT_FALSE(ledger.check_release(range(90, 105)));
  EXPECT_FALSE(ledger.check_release(range(80, 91)));
  EXPECT_FALSE(ledger.check_release(range(100, 110)));  // No memory in it.
  EXPECT_FALSE(ledger.check_release(range(200, 201)));
}

TEST(FrameLedger, KnowsWhatIsDurableOnlyOnce) {
  FrameLedger ledger(table({{range(0, 100), RegionState::kHeld}}));
  ledger.expect({range(0, 100)}, {range(0, 10)}, {});
  EXPECT_FALSE(ledger.note_durable({range(5, 20)}, {}));
  EXPECT_TRUE(ledger.note_durable({range(10, 20)}, {}));
  EXPECT_FALSE(ledger.note_durable({range(10, 20)}, {}));
  EXPECT_FALSE(ledger.note_durable({range(100, 101)}, {}));
}

TEST(FrameLedger, TellsOthersReleasesFromItsOwn) {
  FrameLedger ledger(
      table({{range(0, 10), RegionState::kPartial}, {range(10, 50), RegionState::kHeld}}));
  ledger.expect({range(10, 50)}, {}, {});
  ASSERT_TRUE(ledger.note_durable({range(10, 30)}, {}));
  ledger.note_released(range(10, 20));
  ledger.note_refused(range(20, 30));
  ledger.look(table({{range(0, 20), RegionState::kReleased},
                     {range(20, 40), RegionState::kPartial},
                     {range(40, 50), RegionState::kHeld}}));
  EXPECT_EQ(ledger.taken(), (FrameSet{range(30, 40)}));
  EXPECT_EQ(ledger.held(), (FrameSet{range(20, 30), range(40, 50)}));
  EXPECT_FALSE(ledger.check_release(range(30, 40)));
}

// The window's old content is in the save area.
TEST(FrameLedger, TheWindowGoesWithTheSaveArea) {
  const Region window{range(0, 10), RegionState::kWindow}, held{range(10, 20), RegionState::kHeld};
  FrameLedger ledger(table({window, held, {range(20, 30), RegionState::kSaveArea}}));
  ledger.look(table({window, held, {range(20, 30), RegionState::kSaveArea}}));
  EXPECT_TRUE(ledger.taken().empty());
  ledger.look(table({window, held}));
  EXPECT_EQ(ledger.taken(), (FrameSet{range(0, 10)}));
  ledger.look_at_nothing();
  EXPECT_EQ(ledger.taken(), (FrameSet{range(0, 20)}));
}

/// What the ledger is to know, frame by frame.
struct Model {
  enum class Content { kNone, kUnsaved, kDurable, kLost };
  enum class Memory { kHole, kHeld, kOurs, kOthers };
  static constexpr std::uint64_t kFrames = 48;
  std::array<Content, kFrames> content{};
  std::array<Memory, kFrames> memory{};

  bool may_release(FrameRange range) const {
    bool any = false;
    for (std::uint64_t i = range.begin.value; i < range.end.value; ++i) {
      if (content[i] == Content::kUnsaved || content[i] == Content::kLost) return false;
      if (memory[i] == Memory::kOurs || memory[i] == Memory::kOthers) return false;
      any = any || memory[i] == Memory::kHeld;
    }
    return any;
  }
  RegionTable table() const {
    std::vector<Region> regions;
    for (std::uint64_t i = 0; i < kFrames; ++i)
      regions.push_back({{Gfn{i}, Gfn{i + 1}},
                         memory[i] == Memory::kHole   ? RegionState::kHole
                         : memory[i] == Memory::kHeld ? RegionState::kHeld
                                                      : RegionState::kReleased});
    return RegionTable(std::move(regions));
  }
};

Model random_model(std::mt19937_64& random) {
  Model model;
  for (std::uint64_t i = 0; i < Model::kFrames; ++i) {
    model.memory[i] = random() % 5 == 0 ? Model::Memory::kHole : Model::Memory::kHeld;
    if (model.memory[i] == Model::Memory::kHeld && random() % 8 != 0)
      model.content[i] = Model::Content::kUnsaved;
  }
  return model;
}

class LedgerAndModel {
 public:
  explicit LedgerAndModel(std::uint64_t seed)
      : random_(seed), model_(random_model(random_)), ledger_(model_.table()) {
    FrameSet frames;
    for (std::uint64_t i = 0; i < Model::kFrames; ++i)
      if (model_.content[i] == Model::Content::kUnsaved) frames.insert(range(i, i + 1));
    ledger_.expect(frames, {}, {});
  }

  void step() {
    const std::uint64_t begin = random_() % Model::kFrames;
    const FrameRange some = range(begin, std::min(Model::kFrames, begin + 1 + random_() % 12));
    switch (random_() % 4) {
      case 0:
        return save(some);
      case 1:
        return take(some);
      default:
        return release(some);
    }
  }

 private:
  void save(FrameRange some) {
    const FrameSet frames = ledger_.unsaved().intersection(some);
    FrameSet lost;
    for (std::uint64_t i = some.begin.value; i < some.end.value; ++i) {
      if (model_.content[i] != Model::Content::kUnsaved) continue;
      const bool fails = random_() % 10 == 0;
      model_.content[i] = fails ? Model::Content::kLost : Model::Content::kDurable;
      if (fails) lost.insert(range(i, i + 1));
    }
    EXPECT_TRUE(ledger_.note_durable(frames, lost));
  }
  void take(FrameRange some) {
    for (std::uint64_t i = some.begin.value; i < some.end.value; ++i)
      if (model_.memory[i] == Model::Memory::kHeld) model_.memory[i] = Model::Memory::kOthers;
    ledger_.look(model_.table());
    for (std::uint64_t i = 0; i < Model::kFrames; ++i)
      EXPECT_EQ(ledger_.taken().contains(Gfn{i}), model_.memory[i] == Model::Memory::kOthers) << i;
  }
  void release(FrameRange some) {
    ASSERT_EQ(ledger_.check_release(some).has_value(), model_.may_release(some));
    if (!model_.may_release(some)) return;
    ledger_.note_released(some);
    for (std::uint64_t i = some.begin.value; i < some.end.value; ++i)
      if (model_.memory[i] == Model::Memory::kHeld) model_.memory[i] = Model::Memory::kOurs;
  }

  std::mt19937_64 random_;
  Model model_;
  FrameLedger ledger_;
};

// Whatever happens in whatever order: nothing goes that is not safe, and nothing twice.
TEST(FrameLedger, KeepsTheInvariantInAnyOrder) {
  for (std::uint64_t seed = 0; seed < 500 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    LedgerAndModel both(seed);
    for (int i = 0; i < 200; ++i) both.step();
  }
}

}  // namespace
}  // namespace hadump
