// SPDX-License-Identifier: GPL-2.0-or-later
// Memory that somebody takes away while it is being read.
#include <gmock/gmock.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

/// Frames that were taken away read as zeros at first; as unreadable once that was noticed.
class ShrinkingVmcore : public VmcoreSource {
 public:
  explicit ShrinkingVmcore(const VmcoreSource& inner) : inner_(inner) {}
  const VmcoreLayout& layout() const override { return inner_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    auto done = inner_.read(first, out, status);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < status.size(); ++i) {
      if (!taken_.contains(Gfn{first.value + i})) continue;
      std::ranges::fill(out.subspan(i * kFrameSize, kFrameSize), std::byte{0});
      if (noticed_.contains(Gfn{first.value + i})) status[i] = FrameStatus::kFailed;
    }
    return done;
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

  void take(FrameRange range) {
    const std::lock_guard lock(mutex_);
    taken_.insert(range);
  }
  /// @return true when nothing of `read` is gone that was not noticed before.
  bool notice(const FrameSet& read) {
    const std::lock_guard lock(mutex_);
    FrameSet news = taken_.intersection(read);
    news.erase(noticed_);
    noticed_.insert(news);
    return news.empty();
  }

 private:
  const VmcoreSource& inner_;
  mutable std::mutex mutex_;  // protects both sets
  FrameSet taken_;
  FrameSet noticed_;
};

class StillValid : public testing::TestWithParam<const OutputFormat*> {
 protected:
  std::optional<ReadBack> read() const {
    return GetParam() == kElf ? read_elf(log_->image()) : read_kdump(log_->image());
  }
  Result<std::unique_ptr<DumpWriter>> create(bool can_rewrite) {
    std::vector<std::unique_ptr<DumpSink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>(log_, can_rewrite));
    DumpOptions options;
    options.format = GetParam();
    options.workers = 2;
    options.still_valid = [this](const FrameSet& frames) -> Result<ReadCheck> {
      if (!broken_.empty()) return fail(ErrorCode::kOs, broken_);
      return memory_.notice(frames) ? ReadCheck::kValid : ReadCheck::kStale;
    };
    return DumpWriter::create(memory_, nullptr, memory_.layout().frames, options, std::move(sinks));
  }

  std::unique_ptr<InMemoryVmcore> machine_ = make_machine();
  ShrinkingVmcore memory_{*machine_};
  std::shared_ptr<SinkLog> log_ = std::make_shared<SinkLog>();
  std::string broken_;
};

TEST_P(StillValid, WhatIsTakenAwayMeanwhileIsLostAndTheRestIsTrue) {
  auto writer = create(true);
  ASSERT_TRUE(writer) << writer.error().what();
  FrameSet taken;
  for (FrameSet portion; !(portion = (*writer)->next_portion(1_MiB)).empty();) {
    const Gfn begin = portion.ranges().back().begin;
    memory_.take({begin, Gfn{begin.value + 1}});
    taken.insert({begin, Gfn{begin.value + 1}});
    ASSERT_TRUE((*writer)->write_portion(portion));
    ASSERT_TRUE((*writer)->make_durable());
  }
  const auto summary = (*writer)->finish();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->missing, taken);
  EXPECT_FALSE(summary->complete);
  const auto back = read();
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->incomplete);
  if (GetParam() == kKdump) {
    EXPECT_EQ(back->lost, taken);
  }
  for (const auto& [gfn, page] : back->pages)
    ASSERT_EQ(page, taken.contains(gfn) ? Page{} : page_of(*machine_, gfn)) << gfn.value;
}

TEST_P(StillValid, APipeEndsIncomplete) {
  auto writer = create(false);
  ASSERT_TRUE(writer) << writer.error().what();
  const FrameSet portion = (*writer)->next_portion(1_MiB);
  memory_.take(portion.ranges().front());
  EXPECT_EQ((*writer)->write_portion(portion).error().code(), ErrorCode::kBusy);
  writer->reset();
  const auto back = read();
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->incomplete);
}

TEST_P(StillValid, WhatCannotBeCheckedIsTakenBack) {
  auto writer = create(true);
  ASSERT_TRUE(writer) << writer.error().what();
  const FrameSet portion = (*writer)->next_portion(1_MiB);
  broken_ = "no answer";
  EXPECT_EQ((*writer)->write_portion(portion).error().what(), "no answer");
  broken_.clear();
  EXPECT_EQ((*writer)->next_portion(1_MiB), portion);
  EXPECT_TRUE((*writer)->write_portion(portion));
}

INSTANTIATE_TEST_SUITE_P(Formats, StillValid, testing::Values(kElf, kKdump),
                         [](const auto& format) { return format.param == kElf ? "Elf" : "Kdump"; });

}  // namespace
}  // namespace hadump
