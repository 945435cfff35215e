// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>

#include <filesystem>

#include "core/save/journal.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

class FullTarget : public testing::TestWithParam<const OutputFormat*> {};

// A whole portion is not lost for the page that did not fit. Trying again makes no other file.
TEST_P(FullTarget, KeepsThePagesOfALargePortionThatFit) {
  constexpr std::uint64_t kRoom = 2_MiB;
  FakeMachine machine(9, 1, 6);
  const TemporaryDirectory dir;
  SaveOptions options = save_options(dir / "small", GetParam());
  options.portion_bytes = 256_MiB;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const SaveRun run = save_here(machine, options, kRoom);
    EXPECT_EQ(run.exit_code, kExitTargetFull) << run.messages;
    const auto journal = read_journal(journal_beside(dir.held("small")));
    ASSERT_TRUE(journal) << journal.error().what();
    EXPECT_GT(journal->durable.bytes(), kRoom / 2) << attempt;
    expect_truth({dir / "small-incomplete"}, machine, journal->durable);
    EXPECT_FALSE(std::filesystem::exists(dir / "small-incomplete.1"));
  }
  EXPECT_EQ(machine.violation(), "");
  EXPECT_EQ(save_here(machine, options).exit_code, kExitOk);
  expect_truth({dir / "small"}, machine, machine.old_frames());
  EXPECT_TRUE(machine.all_back());
}

INSTANTIATE_TEST_SUITE_P(Formats, FullTarget,
                         testing::Values(find_output_format("elf"), find_output_format("xen"),
                                         find_output_format("kdump")),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

// Another format can have it, so that is no reason to throw the memory away.
TEST(SaveInAFormat, ThatCannotHaveTheMemoryChangesNothing) {
  OutputFormat narrow = *find_output_format("elf");
  narrow.make = [](FormatInput, std::vector<FormatOutput>) -> Result<std::unique_ptr<DumpFormat>> {
    return fail(ErrorCode::kUnsupported, "too many pieces: use the format kdump");
  };
  FakeMachine machine(9, 1, 4);
  const FrameSet held = machine.held_frames();
  const TemporaryDirectory dir;
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", &narrow));
  EXPECT_EQ(run.exit_code, kExitFormat);
  EXPECT_THAT(run.messages, testing::HasSubstr("use the format kdump"));
  EXPECT_EQ(machine.held_frames(), held);
  EXPECT_FALSE(std::filesystem::exists(dir / "vmcore-incomplete"));
}

}  // namespace
}  // namespace hadump
