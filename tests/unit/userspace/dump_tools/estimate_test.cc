// SPDX-License-Identifier: GPL-2.0-or-later
// What estimate says about a made-up machine whose content is known.
#include <gmock/gmock.h>

#include <optional>
#include <sstream>

#include "core/save/dump_contents.h"
#include "core/vmcore/open.h"
#include "tests/fakes/linux_machine.h"
#include "tests/unit/core/vmcore/kdump_builder.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/dump_tools/command_estimate.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

// Every look at it is a second later.
class StepClock : public Clock {
 public:
  std::chrono::milliseconds now() const override { return now_ += std::chrono::seconds(1); }

 private:
  mutable std::chrono::milliseconds now_{0};
};

class Estimate : public testing::Test {
 protected:
  // Half of the memory is free.
  Estimate() {
    MachineOptions machine;
    machine.sections = 1;
    linux_.emplace(machine);
    for (std::uint64_t pfn = 0x4000; pfn < 0x8000; pfn += 1024) linux_->set_free_block(pfn, 10);
    linux_->finish();
    options_.codec = {};
    options_.threads = 2;
  }
  int run() { return run_estimate(options_, linux_->dump, StepClock(), call_); }

  std::optional<LinuxMachine> linux_;
  EstimateOptions options_;
  std::ostringstream out_, err_;
  CommandCall call_{"release-region", {}, {out_, err_, false}};
};

TEST_F(Estimate, CountsPagesDescriptorsAndBitmaps) {
  InMemoryVmcore memory(FrameSet{{Gfn{0}, Gfn{1000}}});
  for (std::uint64_t i = 0; i < 500; ++i) memory.fill(Gfn{i}, std::byte{1});
  options_.levels = {0, 1};
  options_.json = true;
  EXPECT_EQ(run_estimate(options_, memory, StepClock(), call_), kExitOk);
  // Headers, two bitmaps of a block each, the page of zeros; 500 pages; descriptors.
  EXPECT_THAT(out_.str(), HasSubstr(R"("level":0,"bytes":)" +
                                    std::to_string(5 * 4096 + 500 * 4096 + 1000 * 24)));
  EXPECT_THAT(out_.str(), HasSubstr(R"("level":1,"bytes":)" +
                                    std::to_string(5 * 4096 + 500 * 4096 + 500 * 24)));
  // 1000 pages were sampled in one second; two threads need half a second for them.
  EXPECT_THAT(out_.str(), HasSubstr(R"("bytes_per_second":8192000,)"));
  EXPECT_THAT(out_.str(), HasSubstr(R"("seconds":0.5,"fits":null)"));
}

TEST_F(Estimate, OfAFilteredDumpIsWhatConvertWrites) {
  KdumpBuilder filtered(60000);
  for (std::uint64_t i = 0; i < 60000; ++i) {
    if (i % 100 == 0)
      filtered.add_page(i, static_cast<unsigned>(i % 250 + 1));
    else
      filtered.add_left_out(i);
  }
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(filtered.build()));
  const auto source = open_vmcore(std::move(files));
  ASSERT_TRUE(source) << source.error().what();
  options_.levels = {0};
  options_.json = true;
  EXPECT_EQ(run_estimate(options_, **source, StepClock(), call_), kExitOk);
  // Headers, two bitmaps of two blocks each, the page of zeros; 600 pages and their descriptors.
  EXPECT_THAT(out_.str(),
              HasSubstr(R"("level":0,"bytes":)" + std::to_string(7 * 4096 + 600 * (4096 + 24))));
}

TEST_F(Estimate, TakesThePartsOfASplitDump) {
  const auto options = parse_estimate({"--vmcore", "a", "--vmcore", "b"});
  ASSERT_TRUE(options) << options.error().what();
  EXPECT_THAT(options->vmcore, testing::ElementsAre("a", "b"));
  EXPECT_THAT(parse_estimate({"a", "--json", "b"})->vmcore, testing::ElementsAre("a", "b"));
}

TEST_F(Estimate, MeasuresACodecThatIsNamed) {
  EXPECT_TRUE(parse_estimate({"--compress", "zstd:3"}));
  const auto options = parse_estimate({"--compress", "auto"});
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().what(), HasSubstr("--compress: auto"));
  EXPECT_THAT(codec_help(false), HasSubstr("none, zlib, lzo, snappy or zstd;"));
  EXPECT_THAT(help_estimate("x"), Not(HasSubstr("auto")));
}

TEST_F(Estimate, OnAHostAFileIsNeeded) {
  call_.needs_file = true;
  EXPECT_EQ(estimate_command(call_), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("FILE is needed"));
}

TEST_F(Estimate, LeavesClassesOutAndTheirTime) {
  options_.levels = {0, 16};
  EXPECT_EQ(run(), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("LEVEL"));
  EXPECT_EQ(err_.str(), "");
  std::istringstream lines(out_.str().substr(out_.str().find("\n    0") + 1));
  unsigned level = 0;
  std::string size, unit;
  double all = 0, without_free = 0;
  lines >> level >> size >> unit >> all;
  lines >> level >> size >> unit >> without_free;
  EXPECT_EQ(level, 16U);
  EXPECT_NEAR(without_free, all / 2, all / 10);
}

TEST_F(Estimate, SaysWhatFits) {
  options_.to = "/proc";  // Has no room at all.
  EXPECT_EQ(run(), kExitTargetFull);
  EXPECT_THAT(out_.str(), HasSubstr("NO"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("yes")));
}

TEST_F(Estimate, DoesNotGuessAboutATargetThatIsNotThere) {
  options_.to = "/nonexistent/directory";
  EXPECT_EQ(run(), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("--to: looking at /nonexistent/directory"));
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Estimate, TakesALevelsListOrAll) {
  EXPECT_EQ(parse_estimate({"--all-levels"})->levels.size(), 32U);
  EXPECT_THAT(parse_estimate({"--dump-level", "3,7"})->levels, testing::ElementsAre(3U, 7U));
  EXPECT_FALSE(parse_estimate({"--dump-level", "32"}));
}

class NarrowFilter : public PageFilter {
 public:
  Result<> classify(FrameRange range, std::vector<PageRun>& runs) const override {
    most_ = std::max(most_, range.frames());
    total_ += range.frames();
    EXPECT_TRUE(runs.empty());
    runs.push_back({range, PageClass::kFree});
    return {};
  }
  mutable std::uint64_t most_ = 0, total_ = 0;
};

TEST(ForEachRun, LooksAtTheMemoryInSteps) {
  const NarrowFilter filter;
  const FrameSet frames{{Gfn{7}, Gfn{100'000}}, {Gfn{1'000'000}, Gfn{1'000'001}}};
  FrameSet seen;
  for_each_run(frames, &filter, [&](const PageRun& run) { seen.insert(run.frames); });
  EXPECT_EQ(seen, frames);
  EXPECT_EQ(filter.total_, frames.frames());
  EXPECT_LE(filter.most_, 32768U);
}

}  // namespace
}  // namespace hadump
