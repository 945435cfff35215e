// SPDX-License-Identifier: GPL-2.0-or-later
// The one invariant of docs/architecture.md, on random layouts and random writes, against a model
// that keeps every frame by itself: a frame is released once, never before it was asked for, and
// what is reported is what is.
#include <gtest/gtest.h>

#include <random>

#include "released_memory.h"

namespace hadump {
namespace {

constexpr u64 kFrames = 12 * kFramesPerBlock;
constexpr u64 kAddedSave = 4096;

enum class Kind { kForeign, kHeld, kHole, kSaveArea };

struct Frame {
  Kind kind = Kind::kForeign;
  int asked = 0;
};

struct World {
  std::vector<Frame> frames = std::vector<Frame>(kFrames);
  std::vector<hadump_range> held, holes;
  hadump_range save_area{};
  bool registered = false;
  std::vector<bool> given = std::vector<bool>(kFrames / kFramesPerBlock);
};

std::vector<hadump_range> runs_of(const std::vector<Frame>& all, auto predicate) {
  std::vector<hadump_range> runs;
  for (u64 i = 0; i < all.size(); ++i) {
    if (!predicate(all[i])) continue;
    if (!runs.empty() && runs.back().end == i * kTestFrame)
      runs.back().end += kTestFrame;
    else
      runs.push_back(frames(i, i + 1));
  }
  return runs;
}

World random_world(std::mt19937& random) {
  World world;
  const auto below = [&](u64 n) { return std::uniform_int_distribution<u64>(0, n - 1)(random); };
  for (u64 block = 0; block < kFrames / kFramesPerBlock; ++block) {
    const u64 what = below(8);  // 0: foreign; 1: partly ours; else ours
    for (u64 i = 0; i < kFramesPerBlock; ++i)
      if (what > 1 || (what == 1 && i < 5))
        world.frames[block * kFramesPerBlock + i].kind = Kind::kHeld;
  }
  for (u64 n = below(6); n > 0; --n) {
    const u64 first = below(kFrames), count = 1 + below(40);
    for (u64 i = first; i < std::min(first + count, kFrames); ++i)
      if (world.frames[i].kind == Kind::kHeld) world.frames[i].kind = Kind::kHole;
  }
  world.registered = below(2) != 0;
  world.save_area = frames(kAddedSave, kAddedSave + 8);
  if (world.registered) {
    const u64 first = below(kFrames - 24), count = 1 + below(24);
    world.save_area = frames(first, first + count);
    for (u64 i = first; i < first + count; ++i) world.frames[i].kind = Kind::kSaveArea;
  }
  const auto in_held = [](const Frame& f) {
    return f.kind == Kind::kHeld || f.kind == Kind::kHole;
  };
  world.held = runs_of(world.frames, in_held);
  world.holes = runs_of(world.frames, [](const Frame& f) { return f.kind == Kind::kHole; });
  return world;
}

/// Linux was asked to take the block and would not.
bool is_refused(const World& world, u64 block) {
  bool any = false;
  for (u64 i = block * kFramesPerBlock; i < (block + 1) * kFramesPerBlock; ++i) {
    const Frame& f = world.frames[i];
    if (f.kind == Kind::kForeign || f.kind == Kind::kSaveArea) return false;
    if (f.kind == Kind::kHeld && f.asked == 0) return false;
    any = any || f.kind == Kind::kHeld;
  }
  return any && !world.given[block];
}

int model_check(const World& world, hadump_range r) {
  bool asked = false, again = false;
  for (u64 i = r.start / kTestFrame; i < r.end / kTestFrame; ++i) {
    const Kind kind = i < kFrames ? world.frames[i].kind : Kind::kForeign;
    if (kind != Kind::kHeld && kind != Kind::kHole) return -ERANGE;
    if (world.frames[i].asked == 0) continue;
    asked = true;
    again = again || is_refused(world, i / kFramesPerBlock);
  }
  return asked && !again ? -EALREADY : 0;
}

void model_release(World& world, hadump_range r, bool refuse) {
  for (u64 i = r.start / kTestFrame; i < r.end / kTestFrame; ++i)
    if (world.frames[i].kind == Kind::kHeld) world.frames[i].asked = 1;
  for (u64 b = r.start / kTestBlock; b <= (r.end - 1) / kTestBlock; ++b)
    if (is_refused(world, b) && !refuse) world.given[b] = true;
}

void expect_consistent(const World& world, const ReleasedMemory& memory) {
  const hadump_layout& l = memory.layout();
  u64 held = 0;
  for (u32 b = 0; b < l.nr_blocks; ++b) {
    const hadump_block& block = l.blocks[b];
    for (u64 i = block.start / kTestFrame; i < block.end / kTestFrame; ++i) {
      const Frame& f = world.frames[i];
      ASSERT_LE(f.asked, 1) << i;
      if (block.given) {
        ASSERT_NE(Kind::kForeign, f.kind) << i;
        if (f.kind == Kind::kHeld) {
          ASSERT_EQ(1, f.asked) << "given unasked: " << i;
        }
        if (f.kind == Kind::kSaveArea) {
          ASSERT_TRUE(l.save_released) << i;
        }
      } else if (f.kind == Kind::kHeld) {
        held += kTestFrame;
      }
      if (f.kind == Kind::kHeld && !block.given) {
        ASSERT_EQ(f.asked ? HADUMP_REGION_PARTIAL : HADUMP_REGION_HELD, memory.state_of(i)) << i;
      }
      if (f.kind == Kind::kHole && !block.given) {
        ASSERT_EQ(HADUMP_REGION_HOLE, memory.state_of(i)) << i;
      }
    }
  }
  ASSERT_EQ(held, hadump_held_bytes(&l));
}

/// Every run that is reported has one state throughout.
void expect_runs(const ReleasedMemory& memory) {
  u64 pos = 0, end = 0;
  while (pos < kFrames * kTestFrame) {
    const hadump_region_state state = hadump_state_at(&memory.layout(), pos, &end);
    ASSERT_GT(end, pos);
    for (u64 i = pos / kTestFrame; i < std::min(end / kTestFrame, kFrames); ++i)
      ASSERT_EQ(state, memory.state_of(i)) << i;
    pos = end;
  }
}

void play(unsigned seed) {
  std::mt19937 random(seed);
  World world = random_world(random);
  ReleasedMemory memory(world.held, world.holes, world.save_area, world.registered);
  const auto below = [&](u64 n) { return std::uniform_int_distribution<u64>(0, n - 1)(random); };

  for (int step = 0; step < 120; ++step) {
    hadump_range r = frames(below(kFrames), 0);
    r.end = r.start + (1 + below(24)) * kTestFrame;
    if (r.start == world.save_area.start && r.end == world.save_area.end) continue;
    const int expected = model_check(world, r);
    ASSERT_EQ(expected, memory.check(r)) << r.start / kTestFrame << '-' << r.end / kTestFrame;
    const bool refuse = below(6) == 0;
    const int rc = memory.release(r, [&](std::size_t) { return !refuse; });
    if (expected == 0) {
      ASSERT_TRUE(rc == 0 || (refuse && rc == -ENOMEM));
      model_release(world, r, refuse);
    }
    ASSERT_NO_FATAL_FAILURE(expect_consistent(world, memory));
    ASSERT_NO_FATAL_FAILURE(expect_runs(memory));
  }

  // Whatever happened, everything else can be released, and then the save area.
  for (u64 i = 0; i < kFrames; ++i) {
    if (world.frames[i].kind != Kind::kHeld) continue;
    if (world.frames[i].asked && !is_refused(world, i / kFramesPerBlock)) continue;
    ASSERT_EQ(-EBUSY, memory.check(world.save_area));
    ASSERT_EQ(0, memory.release(frames(i, i + 1)));
    model_release(world, frames(i, i + 1), false);
  }
  ASSERT_EQ(0, memory.release_save_area());
  ASSERT_NO_FATAL_FAILURE(expect_consistent(world, memory));
}

TEST(ReleaseProperty, HoldsOnRandomLayouts) {
  for (unsigned seed = 0; seed < 400; ++seed)
    ASSERT_NO_FATAL_FAILURE(play(seed)) << "seed " << seed;
}

}  // namespace
}  // namespace hadump
