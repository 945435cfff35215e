// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/dump_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "core/base/file.h"
#include "core/dump/flattened_sink.h"
#include "core/vmcore/kdump_layout.h"
#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

struct Case {
  const char* name;
  const OutputFormat* format;
  const char* codec;
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
    return GetParam().format == kElf ? read_elf(image) : read_kdump(image);
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
  // An ELF dump says it by a PT_LOAD without contents.
  EXPECT_EQ(back->lost, GetParam().format == kElf ? FrameSet{} : lost);
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
    if (GetParam().format == kElf) continue;
    FrameSet all = frames_of(*back);
    all.insert(back->lost);
    EXPECT_EQ(all, frames()) << "nothing looks as if it had been left out";
  }
}

// The peer has acknowledged it, so it may be released: it must be in what the peer has.
TEST_P(EveryFormat, HoldsWhatWasAcknowledgedWhenAStreamIsCut) {
  if (GetParam().format == kElf) GTEST_SKIP() << "its headers come at the end";
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

INSTANTIATE_TEST_SUITE_P(All, EveryFormat,
                         testing::Values(Case{"elf", kElf, "none"}, Case{"raw", kKdump, "none"},
                                         Case{"zlib", kKdump, "zlib"}, Case{"lzo", kKdump, "lzo"},
                                         Case{"snappy", kKdump, "snappy"},
                                         Case{"zstd", kKdump, "zstd"}),
                         [](const auto& which) { return std::string(which.param.name); });

// A full disk, then a higher level: the dump goes on where it was, in the same file.
TEST(DumpWriter, GoesOnAtAHigherLevelAfterAFullDisk) {
  for (const OutputFormat* format : {kKdump, kElf}) {
    const auto machine = make_machine();
    const PatternFilter filter;
    auto log = std::make_shared<SinkLog>();
    auto owned = std::make_unique<MemorySink>(log);
    MemorySink* const sink = owned.get();
    std::vector<std::unique_ptr<DumpSink>> sinks;
    sinks.push_back(std::move(owned));
    DumpOptions options;
    options.format = format;
    options.workers = 2;
    auto writer =
        DumpWriter::create(*machine, &filter, machine->layout().frames, options, std::move(sinks));
    ASSERT_TRUE(writer);
    const FrameSet first = (*writer)->next_portion(3_MiB);
    ASSERT_TRUE((*writer)->write_portion(first));
    ASSERT_TRUE((*writer)->make_durable());
    sink->fail_at(log->total + 500000, ENOSPC);
    const FrameSet second = (*writer)->next_portion(100_MiB);
    EXPECT_EQ((*writer)->write_portion(second).error().code(), ErrorCode::kNoSpace);
    EXPECT_EQ((*writer)->next_portion(100_MiB), second);
    sink->fail_at(~std::uint64_t{0}, 0);
    (*writer)->set_dump_level(31);
    ASSERT_TRUE((*writer)->write_portion(second));
    const auto summary = (*writer)->finish();
    ASSERT_TRUE(summary) << summary.error().what();
    const auto back = format == kElf ? read_elf(log->image()) : read_kdump(log->image());
    ASSERT_TRUE(back);
    for (const auto& [gfn, page] : back->pages) {
      const bool kept = first.contains(gfn) || PatternFilter::class_of(gfn) == PageClass::kKeep;
      ASSERT_TRUE(same_page(page, page_of(*machine, gfn)) || (!kept && same_page(page, Page{})))
          << gfn.value;
      ASSERT_TRUE(kept || format == kElf) << gfn.value;
    }
  }
}

// Nothing was durable before: what the writer goes back to is its beginning.
TEST(DumpWriter, IsCompleteAtAHigherLevelThoughTheFirstPortionDidNotFit) {
  const auto machine = make_machine();
  const PatternFilter filter;
  auto log = std::make_shared<SinkLog>();
  auto owned = std::make_unique<MemorySink>(log);
  MemorySink* const sink = owned.get();
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(std::move(owned));
  auto writer =
      DumpWriter::create(*machine, &filter, machine->layout().frames, {}, std::move(sinks));
  ASSERT_TRUE(writer);
  sink->fail_at(log->total + 500000, ENOSPC);
  EXPECT_EQ((*writer)->write_portion((*writer)->next_portion(100_MiB)).error().code(),
            ErrorCode::kNoSpace);
  sink->fail_at(~std::uint64_t{0}, 0);
  (*writer)->set_dump_level(31);
  ASSERT_TRUE((*writer)->write_portion((*writer)->next_portion(100_MiB)));
  const auto summary = (*writer)->finish();
  ASSERT_TRUE(summary) << summary.error().what();
  EXPECT_TRUE(summary->complete);
  EXPECT_EQ(summary->progress.frames_total, machine->layout().frames.frames());
  const auto back = read_kdump(log->image());
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->incomplete);
}

TEST(DumpWriter, StripesOverSeveralFilesBalancedByBytes) {
  const auto machine = make_machine();
  std::vector<std::shared_ptr<SinkLog>> logs;
  std::vector<std::unique_ptr<DumpSink>> sinks;
  for (int i = 0; i < 3; ++i) {
    logs.push_back(std::make_shared<SinkLog>());
    sinks.push_back(std::make_unique<MemorySink>(logs.back()));
  }
  DumpOptions options;
  options.codec = *parse_codec("lzo");
  auto writer =
      DumpWriter::create(*machine, nullptr, machine->layout().frames, options, std::move(sinks));
  ASSERT_TRUE(writer) << writer.error().what();
  for (FrameSet portion; !(portion = (*writer)->next_portion(2_MiB)).empty();) {
    ASSERT_TRUE((*writer)->write_portion(portion));
    ASSERT_TRUE((*writer)->make_durable());
  }
  ASSERT_TRUE((*writer)->finish());
  FrameSet all;
  std::uint64_t total = 0;
  for (const auto& log : logs) total += log->total;
  for (const auto& log : logs) {
    const auto back = read_kdump(log->image());
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->lost.empty());
    EXPECT_FALSE(
        all.overlaps({back->pages.begin()->first, Gfn{back->pages.rbegin()->first.value + 1}}));
    for (const auto& [gfn, page] : back->pages)
      ASSERT_TRUE(same_page(page, page_of(*machine, gfn)));
    all.insert(frames_of(*back));
    EXPECT_GT(log->total, total / 5);
    EXPECT_LT(log->total, total / 2);
  }
  EXPECT_EQ(all, machine->layout().frames);
}

TEST(DumpWriter, RefusesWhatItCannotDo) {
  const auto machine = make_machine();
  const auto create = [&](FrameSet frames, DumpOptions options, int files) {
    std::vector<std::unique_ptr<DumpSink>> sinks;
    for (int i = 0; i < files; ++i)
      sinks.push_back(std::make_unique<MemorySink>(std::make_shared<SinkLog>()));
    auto writer = DumpWriter::create(*machine, nullptr, frames, options, std::move(sinks));
    return writer ? ErrorCode::kIncomplete : writer.error().code();
  };
  const FrameSet frames = machine->layout().frames;
  DumpOptions absurd_level;
  absurd_level.dump_level = 32;
  DumpOptions elf;
  elf.format = kElf;
  EXPECT_EQ(create({}, {}, 1), ErrorCode::kBadData);
  EXPECT_EQ(create({{Gfn{0}, Gfn{std::uint64_t{1} << 41}}}, {}, 1), ErrorCode::kBadData);
  EXPECT_EQ(create(frames, absurd_level, 1), ErrorCode::kBadData);
  EXPECT_EQ(create(frames, {}, 0), ErrorCode::kBadData);
  EXPECT_EQ(create(frames, elf, 2), ErrorCode::kUnsupported);
}

// A balloon that has been used for long leaves holes anywhere.
TEST(DumpWriter, TakesMemoryInManyPieces) {
  FrameSet frames;
  for (std::uint64_t gfn = 0; gfn < 100000; gfn += 4) frames.insert({Gfn{gfn}, Gfn{gfn + 1}});
  const InMemoryVmcore machine(frames);
  const DumpRun run = run_dump(machine, {});
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  EXPECT_TRUE(run.summary->complete);
  const auto back = read_kdump(run.log->image());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->pages.size(), frames.frames());
}

// A dump without its end record may miss anything that was left out only for lack of it.
TEST(DumpWriter, KeepsAnIncompleteDumpIncomplete) {
  const auto machine = make_machine();
  const std::string path = testing::TempDir() + "cut-dump";
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(
      std::move(*open_flattened_sink(*open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), path)));
  auto writer =
      DumpWriter::create(*machine, nullptr, machine->layout().frames, {}, std::move(sinks));
  ASSERT_TRUE(writer);
  for (FrameSet portion; !(portion = (*writer)->next_portion(256_MiB)).empty();)
    ASSERT_TRUE((*writer)->write_portion(portion));
  ASSERT_TRUE((*writer)->finish());
  constexpr std::uintmax_t kEndRecordBytes = 16;
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - kEndRecordBytes);
  const auto cut = open_vmcore({path});
  ASSERT_TRUE(cut) << cut.error().what();
  ASSERT_TRUE((*cut)->layout().incomplete);
  const DumpRun run = run_dump(**cut, {});
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  EXPECT_TRUE(run.summary->missing.empty());
  EXPECT_FALSE(run.summary->complete);
  const auto back = read_kdump(run.log->image());
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->incomplete);
  std::filesystem::remove(path);
}

/// Keeps the header and nothing else.
class HeaderSink : public DumpSink {
 public:
  explicit HeaderSink(std::shared_ptr<std::vector<std::byte>> header)
      : header_(std::move(header)) {}
  bool can_rewrite() const override { return true; }
  Result<> write_data(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset == 0) header_->assign(bytes.begin(), bytes.end());
    return {};
  }
  Result<> make_durable() override { return {}; }
  Result<> publish(std::uint64_t) override { return {}; }
  std::string location() const override { return "nowhere"; }

 private:
  std::shared_ptr<std::vector<std::byte>> header_;
};

// As makedumpfile does: a reader that knows only this field must not think that there is nothing.
TEST(DumpWriter, SaysTheLargestFrameNumberThatFitsTheOldField) {
  constexpr std::uint64_t kFirst = (std::uint64_t{1} << 32) + 128;
  const InMemoryVmcore machine(FrameSet{{Gfn{kFirst}, Gfn{kFirst + 8}}});
  const auto bytes = std::make_shared<std::vector<std::byte>>();
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(std::make_unique<HeaderSink>(bytes));
  ASSERT_TRUE(DumpWriter::create(machine, nullptr, machine.layout().frames, {}, std::move(sinks)));
  KdumpHeader header;
  KdumpSubHeader sub;
  ASSERT_GE(bytes->size(), kFrameSize + sizeof(sub));
  std::memcpy(&header, bytes->data(), sizeof(header));
  std::memcpy(&sub, bytes->data() + kFrameSize, sizeof(sub));
  EXPECT_EQ(header.max_mapnr, UINT32_MAX);
  EXPECT_EQ(sub.max_mapnr_64, kFirst + 8);
}

TEST(DumpWriter, SaysWhichFramesCannotBeWrittenAnyMore) {
  const auto machine = make_machine();
  std::vector<std::unique_ptr<DumpSink>> sinks;
  const auto log = std::make_shared<SinkLog>();
  sinks.push_back(std::make_unique<MemorySink>(log));
  auto writer =
      DumpWriter::create(*machine, nullptr, machine->layout().frames, {}, std::move(sinks));
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->write_portion({{Gfn{0x200}, Gfn{0x300}}}));
  EXPECT_EQ((*writer)->write_portion({{Gfn{0x10}, Gfn{0x20}}}).error().code(), ErrorCode::kBadData);
  for (FrameSet portion; !(portion = (*writer)->next_portion(256_MiB)).empty();)
    ASSERT_TRUE((*writer)->write_portion(portion));
  EXPECT_EQ((*writer)->finish().error().code(), ErrorCode::kIncomplete);
  const auto back = read_kdump(log->image());
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->incomplete);
  EXPECT_EQ(back->lost, (FrameSet{{Gfn{1}, Gfn{0x9f}}, {Gfn{0x100}, Gfn{0x200}}}));
  for (const auto& [gfn, page] : back->pages) ASSERT_TRUE(same_page(page, page_of(*machine, gfn)));
}

TEST(DumpWriter, ChoosesACodecThatReadersKnow) {
  const auto machine = make_machine();
  RunOptions options;
  options.dump.codec = *parse_codec("auto");
  const DumpRun run = run_dump(*machine, options);
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  const auto back = read_kdump(run.log->image());
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->lost.empty());
  for (const auto& [gfn, page] : back->pages) ASSERT_TRUE(same_page(page, page_of(*machine, gfn)));
  EXPECT_GT(run.summary->progress.frames_compressed, 0U);
}

TEST(DumpWriter, CanBeCancelled) {
  const auto machine = make_machine();
  RunOptions options;
  int asked = 0;
  options.dump.cancelled = [&asked] { return ++asked > 5; };
  const DumpRun run = run_dump(*machine, options);
  ASSERT_FALSE(run.summary);
  EXPECT_EQ(run.summary.error().code(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace hadump
