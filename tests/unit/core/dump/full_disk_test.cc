// SPDX-License-Identifier: GPL-2.0-or-later
// A target that is full at the wrong moment, and the caller who then goes on with fewer pages.

#include <gmock/gmock.h>

#include <utility>

#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

class FullDisk : public testing::TestWithParam<const OutputFormat*> {
 protected:
  Result<std::unique_ptr<DumpWriter>> create(const VmcoreSource& source, const PageFilter* filter) {
    auto owned = std::make_unique<MemorySink>(log_);
    sink_ = owned.get();
    std::vector<std::unique_ptr<DumpSink>> sinks;
    sinks.push_back(std::move(owned));
    DumpOptions options;
    options.format = GetParam();
    options.workers = 2;
    return DumpWriter::create(source, filter, source.layout().frames, options, std::move(sinks));
  }

  /// Call number `number` from now on of this kind fails once.
  void fail_once(SinkCall kind, int number, int error) {
    sink_->fail_when([this, kind, left = number, error](SinkCall call) mutable {
      if (call != kind || left-- != 0) return 0;
      failed_ = true;
      return error;
    });
  }

  /// Every page that `image` has, and every frame that is safe, must be true.
  void expect_no_lie(const std::vector<std::byte>& image, const FrameSet& safe) const {
    const auto back = read_back(GetParam(), image);
    ASSERT_TRUE(back);
    EXPECT_EQ(frames_of(*back).intersection(safe), safe);
    for (const auto& [gfn, page] : back->pages) {
      const bool kept = safe.contains(gfn) || PatternFilter::class_of(gfn) == PageClass::kKeep;
      ASSERT_TRUE(same_page(page, page_of(*machine_, gfn)) || (!kept && same_page(page, Page{})))
          << gfn.value;
    }
  }

  /// Writes a portion; the second one meets the error and is written again, with fewer pages.
  void go_on_after(SinkCall kind, int number) {
    log_ = std::make_shared<SinkLog>();
    failed_ = false;
    auto writer = create(*machine_, &filter_);
    ASSERT_TRUE(writer);
    const FrameSet first = (*writer)->next_portion(3_MiB);
    ASSERT_TRUE((*writer)->write_portion(first));
    ASSERT_TRUE((*writer)->make_durable());
    const FrameSet second = (*writer)->next_portion(2_MiB);
    fail_once(kind, number, ENOSPC);
    auto written = (*writer)->write_portion(second);
    if (written) written = (*writer)->make_durable();
    if (!failed_) return;
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
    const std::size_t went_back = log_->writes.size();
    expect_no_lie(log_->image(), first);
    EXPECT_EQ((*writer)->next_portion(2_MiB), second);
    (*writer)->set_dump_level(31);
    for (FrameSet portion; !(portion = (*writer)->next_portion(2_MiB)).empty();) {
      auto again = (*writer)->write_portion(portion);
      ASSERT_TRUE(again) << again.error().what();
      ASSERT_TRUE((*writer)->make_durable());
    }
    ASSERT_TRUE((*writer)->finish());
    for (std::size_t count = went_back; count <= log_->writes.size(); count += 11) {
      expect_no_lie(log_->image(count), first);
      expect_no_lie(log_->image_after_power_cut(count, 1), first);
      if (HasFatalFailure()) return;
    }
    expect_no_lie(log_->image(), first);
    const auto back = read_back(GetParam(), log_->image());
    EXPECT_FALSE(back->incomplete);
    for (FrameRange range : machine_->layout().frames.ranges())
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
        if (PatternFilter::class_of(gfn) == PageClass::kKeep &&
            !same_page(page_of(*machine_, gfn), Page{})) {
          ASSERT_TRUE(back->pages.contains(gfn)) << gfn.value;
        }
  }

  std::unique_ptr<InMemoryVmcore> machine_ = make_machine();
  PatternFilter filter_;
  std::shared_ptr<SinkLog> log_ = std::make_shared<SinkLog>();
  MemorySink* sink_ = nullptr;
  bool failed_ = false;
};

TEST_P(FullDisk, GoesOnAfterATableThatDidNotFit) {
  int number = 0;
  do go_on_after(SinkCall::kTable, number++);
  while (failed_ && !HasFatalFailure());
  EXPECT_GT(number, 1);
}

TEST_P(FullDisk, GoesOnAfterDataThatTurnsOutNotToFit) {
  int number = 0;
  do go_on_after(SinkCall::kSync, number++);
  while (failed_ && !HasFatalFailure());
  EXPECT_GT(number, 1);
}

TEST_P(FullDisk, DoesNotGoOnAfterALoss) {
  auto writer = create(*machine_, nullptr);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->write_portion((*writer)->next_portion(3_MiB)));
  fail_once(SinkCall::kSync, 0, EIO);
  EXPECT_EQ((*writer)->make_durable().error().code(), ErrorCode::kOs);
  EXPECT_EQ((*writer)->write_portion((*writer)->next_portion(3_MiB)).error().code(),
            ErrorCode::kBusy);
}

// Steps of a large portion are durable when a later one fails; the whole portion may be given
// again.
TEST_P(FullDisk, PassesOverWhatIsDurableOfAPortionThatIsRetried) {
  constexpr std::uint64_t kStep = kMaxPortionBytes >> kFrameShift;
  InMemoryVmcore machine(FrameSet{{Gfn{0x100}, Gfn{0x100 + kStep + 512}}});
  for (Gfn gfn{0x100 + kStep}; gfn.value < 0x100 + kStep + 512; ++gfn.value)
    machine.fill(gfn, std::byte{0x5a});
  auto writer = create(machine, nullptr);
  ASSERT_TRUE(writer);
  (*writer)->set_dump_level(kLevelZero);
  const FrameSet portion = (*writer)->next_portion(2 * kMaxPortionBytes);
  bool step_is_durable = false;
  sink_->fail_when([&](SinkCall call) {
    step_is_durable = step_is_durable || call == SinkCall::kSync;
    return step_is_durable && call == SinkCall::kData ? ENOSPC : 0;
  });
  ASSERT_EQ((*writer)->write_portion(portion).error().code(), ErrorCode::kNoSpace);
  ASSERT_LT((*writer)->next_portion(2 * kMaxPortionBytes).frames(), portion.frames());
  EXPECT_EQ((*writer)->write_portion(portion).error().code(), ErrorCode::kNoSpace) << "still full";
  sink_->fail_when({});
  const auto again = (*writer)->write_portion(portion);
  ASSERT_TRUE(again) << again.error().what();
  fail_once(SinkCall::kSync, 0, ENOSPC);
  ASSERT_EQ((*writer)->make_durable().error().code(), ErrorCode::kNoSpace);
  ASSERT_TRUE((*writer)->write_portion(portion)) << "the last step was not durable after all";
  ASSERT_TRUE((*writer)->make_durable());
  EXPECT_EQ((*writer)->write_portion(portion).error().code(), ErrorCode::kBadData)
      << "only a portion that failed may be given again";
  EXPECT_TRUE((*writer)->finish());
  EXPECT_EQ((*writer)->summary().progress.frames_done, portion.frames());
}

INSTANTIATE_TEST_SUITE_P(All, FullDisk, testing::Values(kElf, kXen, kKdump),
                         [](const auto& which) { return std::string(which.param->name); });

}  // namespace
}  // namespace hadump
