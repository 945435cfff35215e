// SPDX-License-Identifier: GPL-2.0-or-later
// What holds for each format and codec, whatever happens to the disk and the process.
#include "core/dump/dump_writer.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <string_view>

#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

struct Case {
  std::string name;
  const OutputFormat* format;
  std::string codec;
};

class EveryFormat : public testing::TestWithParam<Case> {
 protected:
  RunOptions options() const {
    RunOptions options;
    options.dump.format = GetParam().format;
    options.dump.codec = *parse_codec(GetParam().codec);
    options.dump.workers = 2;
    return options;
  }
  std::optional<ReadBack> read(const std::vector<std::byte>& image) const {
    return read_back(GetParam().format, image);
  }
  std::unique_ptr<InMemoryVmcore> machine_ = make_machine();
  const FrameSet& frames() const { return machine_->layout().frames; }

  /// No frame may read as anything but what it was.
  void expect_true_contents(const ReadBack& back) const {
    for (const auto& [gfn, page] : back.pages)
      ASSERT_TRUE(same_page(page, page_of(*machine_, gfn))) << std::hex << gfn.value;
  }
};

TEST_P(EveryFormat, HoldsEveryPage) {
  const DumpRun run = run_dump(*machine_, options());
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  EXPECT_TRUE(run.summary->complete);
  const auto back = read(run.log->image());
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->incomplete);
  EXPECT_EQ(frames_of(*back), frames());
  expect_true_contents(*back);
  EXPECT_EQ(run.summary->progress.frames_durable, frames().frames());
}

TEST_P(EveryFormat, IsTheSameWithAnyNumberOfWorkersAndAnyPortions) {
  RunOptions one = options();
  one.dump.workers = 1;
  const auto image = run_dump(*machine_, one).log->image();
  for (unsigned workers : {2U, 5U, 16U}) {
    RunOptions many = options();
    many.dump.workers = workers;
    many.portion_bytes = workers * 300_KiB;
    EXPECT_TRUE(same_bytes(run_dump(*machine_, many).log->image(), image)) << workers;
  }
}

TEST_P(EveryFormat, CanBeFlattened) {
  RunOptions pipe = options();
  pipe.can_rewrite = false;
  const DumpRun run = run_dump(*machine_, pipe);
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  std::map<std::uint64_t, std::uint64_t> written;  // Start of each write, and its end.
  for (const SinkLog::Write& write : run.log->writes)
    ASSERT_TRUE(written.emplace(write.offset, write.offset + write.bytes.size()).second)
        << "byte written twice: " << write.offset;
  std::uint64_t end = 0;
  for (const auto& [start, next] : written) {
    ASSERT_LE(end, start) << "byte written twice";
    end = next;
  }
  const auto back = read(run.log->image());
  ASSERT_TRUE(back);
  EXPECT_EQ(frames_of(*back), frames());
  EXPECT_FALSE(back->incomplete);
  expect_true_contents(*back);
}

TEST_P(EveryFormat, LeavesOutWhatTheLevelSays) {
  const PatternFilter filter;
  RunOptions filtered = options();
  filtered.filter = &filter;
  filtered.dump.dump_level = 31;
  const DumpRun run = run_dump(*machine_, filtered);
  ASSERT_TRUE(run.summary);
  const auto back = read(run.log->image());
  ASSERT_TRUE(back);
  const bool elf = GetParam().format == kElf;
  for (FrameRange range : frames().ranges())
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
      const bool kept = PatternFilter::class_of(gfn) == PageClass::kKeep;
      const auto found = back->pages.find(gfn);
      ASSERT_TRUE(!kept || elf || found != back->pages.end()) << gfn.value;
      if (found == back->pages.end()) continue;
      // In an ELF dump a left-out page between others is a hole and reads as zeros.
      ASSERT_TRUE(kept || elf) << gfn.value;
      ASSERT_TRUE(same_page(found->second, kept ? page_of(*machine_, gfn) : Page{})) << gfn.value;
    }
}

// A disk that is full at any byte must cost only what is not durable yet, and must never make the
// file say something wrong.
TEST_P(EveryFormat, StaysTrueWhenTheDiskIsFullAtAnyByte) {
  const std::uint64_t all = run_dump(*machine_, options()).log->total;
  std::mt19937_64 random(11);
  for (int i = 0; i < 30; ++i) {
    RunOptions full = options();
    full.fail_at = i < 10 ? static_cast<std::uint64_t>(i) * 997 : random() % all;
    full.fail_errno = i % 3 == 0 ? EIO : ENOSPC;
    const DumpRun run = run_dump(*machine_, full);
    ASSERT_FALSE(run.summary) << full.fail_at;
    EXPECT_EQ(run.summary.error().code(), i % 3 == 0 ? ErrorCode::kOs : ErrorCode::kNoSpace);
    EXPECT_FALSE(run.log->published_size);
    const auto back = read(run.log->image());
    if (!back) {
      EXPECT_TRUE(run.durable.empty());
      continue;
    }
    EXPECT_TRUE(back->incomplete);
    expect_true_contents(*back);
    EXPECT_EQ(frames_of(*back).intersection(run.durable), run.durable) << full.fail_at;
  }
}

/// Sanitized, every kill point takes a minute: every 12th unless HADUMP_TEST_SEEDS=all.
std::size_t kill_point_stride() {
  const char* seeds = std::getenv("HADUMP_TEST_SEEDS");
  return seeds != nullptr && std::string_view(seeds) == "all" ? 1 : 12;
}

// Killed after any write, or without power after any write, with any part of the page cache lost.
TEST_P(EveryFormat, StaysTrueWhenKilledAnywhere) {
  const PatternFilter filter;
  RunOptions filtered = options();
  filtered.filter = &filter;
  filtered.dump.dump_level = 16;
  filtered.portion_bytes = 2_MiB;
  const DumpRun run = run_dump(*machine_, filtered);
  ASSERT_TRUE(run.summary);
  const auto expect_no_lie = [&](const std::vector<std::byte>& image, std::size_t count) {
    const auto back = read(image);
    if (!back) return;
    for (const auto& [gfn, page] : back->pages) {
      const bool left_out = is_left_out(PatternFilter::class_of(gfn), 16);
      ASSERT_TRUE(same_page(page, page_of(*machine_, gfn)) || (left_out && same_page(page, Page{})))
          << "frame " << gfn.value << " after write " << count;
    }
  };
  for (std::size_t count = 1; count < run.log->writes.size(); count += kill_point_stride()) {
    expect_no_lie(run.log->image(count), count);
    for (unsigned seed = 0; seed < 2; ++seed)
      expect_no_lie(run.log->image_after_power_cut(count, seed), count);
  }
}

TEST_P(EveryFormat, RecordsUnreadableFramesAndGoesOn) {
  machine_->refuse(Gfn{0x120}).refuse(Gfn{0x121}).refuse(Gfn{0x13fd});
  const DumpRun run = run_dump(*machine_, options());
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  const FrameSet lost{{Gfn{0x120}, Gfn{0x122}}, {Gfn{0x13fd}, Gfn{0x13fe}}};
  EXPECT_EQ(run.summary->missing, lost);
  EXPECT_FALSE(run.summary->complete);
  const auto back = read(run.log->image());
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->incomplete);
  // An ELF dump says it by a PT_LOAD without contents, a domain's core not at all.
  EXPECT_EQ(back->lost, GetParam().format == kKdump ? lost : FrameSet{});
  FrameSet saved = frames();
  saved.erase(lost);
  EXPECT_EQ(frames_of(*back), saved);
  expect_true_contents(*back);
  EXPECT_TRUE(run.log->published_size) << "whole, but for what nobody can read";
}

// A stream that ends early ends as a dump of what it has, which says that it is incomplete.
TEST_P(EveryFormat, EndsAStreamAsAnIncompleteDump) {
  for (int stop_after : {1, 5, 12}) {
    RunOptions pipe = options();
    pipe.can_rewrite = false;
    int asked = 0;
    pipe.dump.cancelled = [&] { return ++asked > stop_after; };
    const DumpRun run = run_dump(*machine_, pipe);
    ASSERT_FALSE(run.summary);
    EXPECT_EQ(run.summary.error().code(), ErrorCode::kCancelled);
    EXPECT_TRUE(run.log->published_size) << "it has its end record";
    const auto back = read(run.log->image());
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->incomplete);
    expect_true_contents(*back);
    EXPECT_GE(back->pages.size(), 30U * static_cast<unsigned>(stop_after));
    if (GetParam().format != kKdump) continue;
    FrameSet all = frames_of(*back);
    all.insert(back->lost);
    EXPECT_EQ(all, frames()) << "nothing looks as if it had been left out";
  }
}

// The peer has acknowledged it, so it may be released: it must be in what the peer has.
TEST_P(EveryFormat, HoldsWhatWasAcknowledgedWhenAStreamIsCut) {
  if (GetParam().format != kKdump) GTEST_SKIP() << "its headers come at the end";
  RunOptions pipe = options();
  pipe.can_rewrite = false;
  pipe.acknowledges = true;
  const DumpRun run = run_dump(*machine_, pipe);
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  ASSERT_EQ(run.portions.size() + 1, run.log->syncs.size()) << "one more by finish()";
  FrameSet acknowledged;
  for (std::size_t i = 0; i < run.portions.size(); ++i) {
    acknowledged.insert(run.portions[i]);
    const auto back = read(run.log->image(run.log->syncs[i]));
    ASSERT_TRUE(back);
    EXPECT_EQ(frames_of(*back).intersection(acknowledged), acknowledged) << i;
    expect_true_contents(*back);
  }
}

std::vector<Case> every_case() {
  std::vector<Case> cases{{"elf", kElf, "none"}, {"xen", kXen, "none"}, {"raw", kKdump, "none"}};
  for (const Codec& codec : codecs())
    cases.push_back({std::string(codec.name), kKdump, std::string(codec.name)});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, EveryFormat, testing::ValuesIn(every_case()),
                         [](const auto& which) { return which.param.name; });

}  // namespace
}  // namespace hadump
