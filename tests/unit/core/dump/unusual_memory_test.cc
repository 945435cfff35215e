// SPDX-License-Identifier: GPL-2.0-or-later
// Memory as no test machine has it: in very many pieces, or far up.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/dump/file_sink.h"
#include "core/vmcore/open.h"
#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;

/// Pieces of two pages, the second of which is zero: with a level that leaves it out, each piece
/// takes two program headers.
std::unique_ptr<InMemoryVmcore> make_pieces(std::uint64_t count) {
  FrameSet frames;
  for (std::uint64_t i = 0; i < count; ++i) frames.insert({Gfn{3 * i + 1}, Gfn{3 * i + 3}});
  auto machine = std::make_unique<InMemoryVmcore>(frames);
  for (std::uint64_t i = 0; i < count; ++i)
    machine->fill(Gfn{3 * i + 1}, static_cast<std::byte>(i % 255 + 1));
  return machine;
}

RunOptions as_elf() {
  RunOptions options;
  options.dump.format = kElf;
  options.dump.dump_level = kLevelZero;
  options.dump.workers = 2;
  options.portion_bytes = 1_GiB;
  return options;
}

TEST(UnusualMemory, IsInAnElfCoreInManyPieces) {
  constexpr std::uint64_t kPieces = 32000;
  const auto machine = make_pieces(kPieces);
  const DumpRun run = run_dump(*machine, as_elf());
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  const auto back = read_elf(run.log->image());
  ASSERT_TRUE(back);
  ASSERT_EQ(back->pages.size(), kPieces);
  for (const auto& [gfn, page] : back->pages) ASSERT_TRUE(page == page_of(*machine, gfn));
}

TEST(UnusualMemory, IsRefusedInMorePiecesThanAnElfCoreHasRoomForBeforeAnythingIsWritten) {
  const auto machine = make_pieces(33000);
  const DumpRun run = run_dump(*machine, as_elf());
  ASSERT_FALSE(run.summary);
  EXPECT_EQ(run.summary.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(run.summary.error().what(), HasSubstr("33000 pieces"));
  EXPECT_TRUE(run.log->writes.empty());
}

/// Written by real sinks, in the build directory, where direct writes have a chance.
void expect_whole_in_a_file(const InMemoryVmcore& machine, const OutputFormat* format) {
  namespace fs = std::filesystem;
  const fs::path path = fs::current_path() / fmt::format("unusual-{}-{}", format->name, ::getpid());
  DumpOptions options;
  options.format = format;
  options.workers = 2;
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(std::move(*open_file_sink(path.string())));
  const FrameSet& frames = machine.layout().frames;
  auto writer = DumpWriter::create(machine, nullptr, frames, options, std::move(sinks));
  ASSERT_TRUE(writer) << writer.error().what();
  ASSERT_TRUE((*writer)->write_portion(frames));
  ASSERT_TRUE((*writer)->finish());
  const auto back = open_vmcore(path.string());
  ASSERT_TRUE(back) << back.error().what();
  for (FrameRange range : frames.ranges())
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
      Page page;
      FrameStatus status{};
      ASSERT_TRUE((*back)->read(gfn, page, {&status, 1}));
      ASSERT_TRUE(same_page(page, page_of(machine, gfn))) << format->name << " " << gfn.value;
    }
  fs::remove(path);
}

// Each hole makes a direct write of its own necessary, and there are more of them in a chunk of 128
// frames than there are buffers.
TEST(UnusualMemory, HasManyHolesInAChunk) {
  for (const std::uint64_t distance : {2, 18, 20, 33}) {
    InMemoryVmcore machine(FrameSet{{Gfn{0}, Gfn{2048}}});
    for (std::uint64_t gfn = 1; gfn < 2048; gfn += distance)
      machine.fill(Gfn{gfn}, static_cast<std::byte>(gfn % 255 + 1));
    for (const char* format : {"elf", "xen", "kdump"})
      expect_whole_in_a_file(machine, find_output_format(format));
  }
}

TEST(UnusualMemory, FarUpCostsNoBitmapOfWhatLiesBetween) {
  const Gfn far{std::uint64_t{1} << 33};  // 32 TiB
  InMemoryVmcore machine(FrameSet{{Gfn{1}, Gfn{2}}, {far, Gfn{far.value + 1}}});
  machine.fill(Gfn{1}, std::byte{1}).fill(far, std::byte{2});
  const DumpRun run = run_dump(machine, {});
  ASSERT_TRUE(run.summary) << run.summary.error().what();
  EXPECT_LT(run.log->total, 2_MiB);
}

}  // namespace
}  // namespace hadump
