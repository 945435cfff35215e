// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/block_releaser.h"

#include <gmock/gmock.h>

namespace hadump {
namespace {

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
  std::vector<Region> regions;
  for (FrameRange range : held.ranges()) regions.push_back({range, RegionState::kHeld});
  for (FrameRange range : holes.ranges()) regions.push_back({range, RegionState::kHole});
  FrameLedger ledger{RegionTable(std::move(regions))};
  ReleaseCalls calls;
  BlockReleaser blocks(calls, ledger, 1_MiB, [](const std::string&) { FAIL(); });

  blocks.release_everywhere();

  EXPECT_THAT(calls.calls_, testing::ElementsAre(FrameRange{Gfn{kBlock}, Gfn{2 * kBlock}},
                                                 FrameRange{Gfn{3 * kBlock}, Gfn{4 * kBlock - 8}},
                                                 FrameRange{Gfn{4 * kBlock - 4}, Gfn{4 * kBlock}}));
  EXPECT_TRUE(ledger.held().empty());
  EXPECT_EQ(ledger.bytes_released(), all);
}

}  // namespace
}  // namespace hadump
