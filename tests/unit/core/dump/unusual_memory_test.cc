// SPDX-License-Identifier: GPL-2.0-or-later
// Memory as no test machine has it: in very many pieces, or far up.
#include <gmock/gmock.h>

#include <cerrno>

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
