// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/dump_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>

#include "core/base/file.h"
#include "core/dump/flattened_sink.h"
#include "core/vmcore/kdump_layout.h"
#include "core/vmcore/open.h"
#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

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
