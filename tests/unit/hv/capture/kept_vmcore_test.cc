// SPDX-License-Identifier: GPL-2.0-or-later
// A capture as one dump while its memory goes from the domain to the file.
#include "hv/capture/kept_vmcore.h"

#include <gmock/gmock.h>

#include <map>

#include "hv/capture/capture_facts.h"
#include "tests/unit/hv/capture/capture_mode_fixture.h"
#include "userspace/dump_mount/dump_tree.h"

namespace hadump {
namespace {

constexpr std::uint64_t kFreeFrames = 8;

// What a reader sees of a domain to which something happens while it looks.
class WatchedGuest : public GuestMemory {
 public:
  explicit WatchedGuest(const GuestMemory& guest) : guest_(guest) {}
  std::function<void()> before_map = [] {};

  Result<FrameMapping> map(FrameRange range, Access access) const override {
    before_map();
    return guest_.map(range, access);
  }
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override {
    return guest_.kinds(range);
  }
  Result<std::uint64_t> total_frames() const override { return guest_.total_frames(); }
  Result<> set_limit_kib(std::uint64_t) override { return not_here(); }

 private:
  static tl::unexpected<Error> not_here() {
    return fail(ErrorCode::kUnsupported, "it is read only");
  }
  Result<std::uint64_t> host_free_bytes() const override { return not_here(); }
  Result<> add_frames(const FrameSet&) override { return not_here(); }
  Result<> take_away(const FrameSet&) override { return not_here(); }
  Result<> move_frame(Gfn, Gfn) override { return not_here(); }

  const GuestMemory& guest_;
};

class KeptCase : public CapturedGuest {
 protected:
  KeptCase() : guest_(host_.share(domid_)), watched_(guest_->memory) {
    record_.order.mode = "alias";
    for (std::uint64_t gfn = 0; gfn < kFrames; ++gfn)
      if (auto page = memory().content(Gfn{gfn}); !is_zero(page))
        truth_.emplace(gfn, std::move(page));
  }

  /// hadumpd is killed when the dump is begun; the next one goes on.
  void leave() {
    kill_at_note_ = 4;
    ASSERT_FALSE(run(record_).has_value());
    record_ = noted_.back();
    ASSERT_EQ(record_.state, CaptureState::kWriting);
    kill_at_note_ = 0;
  }
  Result<std::unique_ptr<KeptVmcore>> open_kept() {
    auto facts = load_facts(directory_ / "state", record_.name);
    EXPECT_TRUE(facts) << facts.error().what();
    return KeptVmcore::open(watched_, facts->domain, {record_.order.to, record_.dump_id, level_},
                            [this] { return is_ours_; });
  }
  bool is_left_out(std::uint64_t gfn) const {
    return level_ == kFreeLevel && gfn >= kFreeFrame && gfn < kFreeFrame + kFreeFrames;
  }
  /// Some of the frames, others every time; or all.
  void expect_truth(const KeptVmcore& kept, bool all = false) {
    constexpr std::uint64_t kBatch = 64, kStride = 16 * kBatch;
    std::vector<std::byte> pages(kBatch * kFrameSize);
    std::vector<FrameStatus> status(kBatch);
    const std::uint64_t step = all ? kBatch : kStride;
    for (std::uint64_t at = all ? 0 : kBatch * (looks_++ % 16); at < kFrames; at += step) {
      const auto done = kept.read(Gfn{at}, pages, status);
      ASSERT_TRUE(done) << done.error().what();
      for (std::uint64_t i = 0; i < kBatch; ++i)
        ASSERT_TRUE(is_true(at + i, status[i], pages.data() + i * kFrameSize)) << at + i;
    }
  }
  bool is_true(std::uint64_t gfn, FrameStatus status, const std::byte* page) const {
    static const std::vector<std::byte> zeros(kFrameSize);
    if (is_left_out(gfn)) return status == FrameStatus::kAbsent;
    const auto found = truth_.find(gfn);
    const auto& wanted = found == truth_.end() ? zeros : found->second;
    return status == FrameStatus::kRead && std::memcmp(page, wanted.data(), kFrameSize) == 0;
  }

  std::shared_ptr<InMemoryHost::Resident> guest_;
  WatchedGuest watched_;
  unsigned level_ = 0;
  Result<> is_ours_;
  std::map<std::uint64_t, std::vector<std::byte>> truth_;  ///< what is not zeros
  unsigned looks_ = 0;
};

struct Choice {
  const char* format;
  unsigned level;
};
class KeptVmcoreTest : public testing::TestWithParam<Choice>, public KeptCase {
 protected:
  KeptVmcoreTest() {
    level_ = GetParam().level;
    record_.order.format = GetParam().format;
    record_.order.compress = level_ == 0 ? "none" : "lzo";
    if (record_.order.format == "elf") record_.order.compress = "none";
    record_.order.dump_level = std::to_string(level_);
  }
};

TEST_P(KeptVmcoreTest, IsTheSameAtEveryMoment) {
  leave();
  auto kept = open_kept();
  ASSERT_TRUE(kept) << kept.error().what();
  expect_truth(**kept, true);
  std::uint64_t left = 0;
  meanwhile_ = [&] {
    const std::uint64_t before = std::exchange(left, guest_->memory.total_frames().value());
    if (left != before && !HasFailure()) expect_truth(**kept);
  };
  ASSERT_TRUE(run());
  EXPECT_GT(looks_, 16U);
  EXPECT_EQ(guest_->memory.total_frames().value(), 0U);
  expect_truth(**kept, true);
  // Xen gives the number to another domain.
  is_ours_ = fail(ErrorCode::kNotFound, "another domain");
  expect_truth(**kept, true);
}

TEST_P(KeptVmcoreTest, CanBeOpenedInTheMiddle) {
  leave();
  cancel_after_ = kFrames / 2;
  ASSERT_FALSE(run());
  ASSERT_LT(guest_->memory.total_frames().value(), kFrames);
  const auto kept = open_kept();
  ASSERT_TRUE(kept) << kept.error().what();
  expect_truth(**kept, true);
  const auto present = (*kept)->present_in({Gfn{kFreeFrame}, Gfn{kFreeFrame + kFreeFrames}});
  EXPECT_EQ(present.value().empty(), level_ == kFreeLevel);
}

INSTANTIATE_TEST_SUITE_P(Dumps, KeptVmcoreTest,
                         testing::Values(Choice{"kdump", 0}, Choice{"kdump", kFreeLevel},
                                         Choice{"elf", 0}),
                         [](const auto& choice) {
                           return choice.param.format + std::to_string(choice.param.level);
                         });

class KeptRaceTest : public testing::Test, public KeptCase {};

// The capture saves and clears what the reader has already decided to read in the domain.
TEST_F(KeptRaceTest, WhatIsClearedWhileItIsReadComesFromTheFile) {
  leave();
  const auto kept = open_kept();
  ASSERT_TRUE(kept) << kept.error().what();
  cancel_after_ = kFrames / 2;
  bool first = true;
  watched_.before_map = [&] {
    if (!std::exchange(first, false)) return;
    ASSERT_FALSE(run());
    ASSERT_LT(guest_->memory.total_frames().value(), kFrames);
  };
  expect_truth(**kept, true);
}

// A capture that was discarded: its domain's number may be anybody's.
TEST_F(KeptRaceTest, NothingOfAnotherDomainIsShown) {
  leave();
  const auto kept = open_kept();
  ASSERT_TRUE(kept) << kept.error().what();
  is_ours_ = fail(ErrorCode::kNotFound, "another domain");
  std::vector<std::byte> page(kFrameSize, std::byte{1});
  FrameStatus status{};
  ASSERT_TRUE((*kept)->read(Gfn{kDataFrame}, page, {&status, 1}));
  EXPECT_EQ(status, FrameStatus::kFailed);
  EXPECT_TRUE(is_zero(page));
}

TEST_F(KeptRaceTest, ADamagedJournalIsAnErrorAndNoGuess) {
  leave();
  cancel_after_ = kFrames / 2;
  ASSERT_FALSE(run());
  const auto kept = open_kept();
  ASSERT_TRUE(kept);
  const std::string journal = directory_ / ".dump.hadump-journal";
  ASSERT_TRUE(std::filesystem::exists(journal));
  std::filesystem::resize_file(journal, 3);
  std::vector<std::byte> page(kFrameSize);
  FrameStatus status{};
  EXPECT_FALSE((*kept)->read(Gfn{kDataFrame}, page, {&status, 1}));
}

TEST_F(KeptRaceTest, IsMountedAsADumpIs) {
  leave();
  auto kept = open_kept();
  ASSERT_TRUE(kept);
  const auto tree = DumpTree::show(std::move(*kept), record_.order.to + "-incomplete");
  ASSERT_TRUE(tree) << tree.error().what();
  EXPECT_NE((*tree)->find("vmcore"), nullptr);
  EXPECT_NE((*tree)->find("dmesg.txt"), nullptr);
  EXPECT_NE((*tree)->find("metadata.json"), nullptr);
}

}  // namespace
}  // namespace hadump
