// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/watched_memory.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <vector>

#include "tests/fakes/in_memory_vmcore.h"

namespace hadump {
namespace {

FrameRange frames_at(std::uint64_t begin, std::uint64_t end) {
  return {Gfn{begin}, Gfn{end}};
}

std::unique_ptr<InMemoryVmcore> sixteen_frames() {
  auto memory = std::make_unique<InMemoryVmcore>(FrameSet{frames_at(0, 16)});
  for (std::uint64_t i = 0; i < 16; ++i) memory->fill(Gfn{i}, std::byte{0x5a});
  return memory;
}

TEST(WatchedVmcore, ReadsWhatIsLostAsUnreadable) {
  WatchedVmcore watched(sixteen_frames());
  watched.lose({frames_at(2, 4), frames_at(9, 30)});
  std::vector<std::byte> pages(10 * kFrameSize);
  std::vector<FrameStatus> status(10);
  ASSERT_TRUE(watched.read(Gfn{1}, pages, status));
  for (std::uint64_t i = 0; i < 10; ++i) {
    const std::uint64_t gfn = 1 + i;
    const bool lost = gfn == 2 || gfn == 3 || gfn >= 9;
    EXPECT_EQ(status[i], lost ? FrameStatus::kFailed : FrameStatus::kRead) << gfn;
    EXPECT_EQ(pages[i * kFrameSize + 7], lost ? std::byte{0} : std::byte{0x5a}) << gfn;
  }
}

TEST(WatchedVmcore, MapsUpToWhatIsLost) {
  WatchedVmcore watched(sixteen_frames());
  watched.lose({frames_at(4, 6)});
  const auto before = watched.map(frames_at(1, 10));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->range(), frames_at(1, 4));
  EXPECT_FALSE(watched.map(frames_at(4, 10)));
  EXPECT_TRUE(watched.map(frames_at(6, 10)));
}

class AllFree : public PageFilter {
 public:
  Result<> classify(FrameRange frames, std::vector<PageRun>& runs) const override {
    runs.push_back({frames, PageClass::kFree});
    return {};
  }
};

TEST(WatchedFilter, TellsNothingApartWithoutItsTables) {
  WatchedFilter filter(std::make_unique<AllFree>());
  std::vector<PageRun> runs;
  EXPECT_TRUE(filter.classify(frames_at(0, 8), runs));
  filter.distrust({frames_at(4, 5)});
  EXPECT_FALSE(filter.classify(frames_at(0, 8), runs));
  EXPECT_TRUE(filter.classify(frames_at(5, 8), runs));
}

}  // namespace
}  // namespace hadump
