// SPDX-License-Identifier: GPL-2.0-or-later
// Saves that leave pages out, on a made-up Linux whose page classes are read from its own memory.
#include <gmock/gmock.h>

#include <limits>
#include <optional>

#include "core/save/dump_contents.h"
#include "core/save/journal.h"
#include "core/vmcore/open.h"
#include "tests/fakes/linux_machine.h"
#include "tests/unit/core/save/releasable_vmcore.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

// Full at a given byte, for good or for one write.
class FullSink : public DumpSink {
 public:
  FullSink(std::unique_ptr<DumpSink> inner, std::uint64_t once, std::uint64_t always)
      : inner_(std::move(inner)), once_(once), always_(always) {}

  bool can_rewrite() const override { return true; }
  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const std::uint64_t end = offset + bytes.size();
    const bool fails_once = end > once_;
    if (fails_once) once_ = std::numeric_limits<std::uint64_t>::max();
    if (fails_once || end > always_) return fail(ErrorCode::kNoSpace, "the disk is full");
    return inner_->write_data(offset, bytes);
  }
  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return inner_->write_table(offset, bytes);
  }
  Result<> make_durable() override { return inner_->make_durable(); }
  Result<> publish(std::uint64_t size) override { return inner_->publish(size); }
  std::string location() const override { return inner_->location(); }

 private:
  std::unique_ptr<DumpSink> inner_;
  std::uint64_t once_, always_;
};

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

class FilteredSave : public testing::Test {
 protected:
  FilteredSave() {
    MachineOptions options;
    options.sections = 1;
    linux_.emplace(options);
    fill(0x5000, 0x8000);
    memory_.emplace(linux_->finish());
  }

  // One page in 8 has content; every other block is free.
  void fill(std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t pfn = begin; pfn < end; pfn += 1024) {
      if ((pfn & 1024) != 0) linux_->set_free_block(pfn, 10);
      for (std::uint64_t i = 0; i < 1024; i += 8)
        linux_->dump.fill(Gfn{pfn + i}, static_cast<std::byte>(1 + i % 251));
    }
  }

  SaveRun save(const SaveOptions& options, std::uint64_t full_once, std::uint64_t full) {
    std::ostringstream messages;
    spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(messages));
    const SteadyClock clock;
    const SaveSeams seams{
        releaser_,
        WaitingDump{std::string(32, 'a'), "added", 1'000'000'000, 1},
        "guest",
        {},
        [&](const std::vector<std::string>& paths) -> Result<std::unique_ptr<VmcoreSource>> {
          if (paths.front() != "/proc/vmcore") return open_vmcore(paths);
          return std::make_unique<BorrowedVmcore>(*memory_);
        },
        [&](const HeldFile& wanted,
            const std::string& partial) -> Result<std::unique_ptr<DumpSink>> {
          auto file = partial.empty() ? open_file_sink(wanted) : reopen_file_sink(partial, wanted);
          if (!file) return file;
          return std::make_unique<FullSink>(std::move(*file), full_once, full);
        },
        HADUMP_BLOCK_SIZE,
        ""};
    std::ostringstream out;
    const int exit_code =
        run_save({false, options, ProgressMode::kNone, ""}, seams, {log, clock, {out, out, false}});
    return {exit_code, messages.str()};
  }

  // The dump has just those pages that a classifier of the whole memory keeps, as they were.
  void expect_kept_pages(const std::string& path, unsigned level) {
    const auto dump = open_vmcore(path);
    ASSERT_TRUE(dump) << dump.error().what();
    const auto truth = open_filter(linux_->dump);
    ASSERT_TRUE(truth);
    std::uint64_t wrong = 0, kept = 0;
    std::vector<std::byte> found(kFrameSize), wanted(kFrameSize);
    for_each_run(linux_->dump.layout().frames, truth->filter.get(), [&](const PageRun& run) {
      for (Gfn gfn = run.frames.begin; gfn < run.frames.end; ++gfn.value) {
        FrameStatus in_dump = FrameStatus::kFailed, in_memory = FrameStatus::kFailed;
        ASSERT_TRUE((*dump)->read(gfn, found, {&in_dump, 1}));
        ASSERT_TRUE(linux_->dump.read(gfn, wanted, {&in_memory, 1}));
        const bool keeps = !is_left_out(run.page_class, level);
        kept += keeps ? 1 : 0;
        wrong += (in_dump == FrameStatus::kRead) != keeps || (keeps && found != wanted) ? 1 : 0;
      }
    });
    EXPECT_EQ(wrong, 0U) << "of " << kept << " that are kept";
  }

  TemporaryDirectory dir_;
  std::optional<LinuxMachine> linux_;
  std::optional<ReleasableVmcore> memory_;
  RegionReleaser* releaser_ = nullptr;
};

// The part before the disk was full has the free pages, the part after it has not.
TEST_F(FilteredSave, ContinuesInPlaceAfterAFallback) {
  for (const OutputFormat* format : {find_output_format("kdump"), find_output_format("elf")}) {
    SaveOptions options =
        save_options(dir_ / (format == find_output_format("elf") ? "elf" : "kdump"), format);
    options.codec = {};
    options.levels = {0, 16};
    // An ELF file has room for the pages of zeros between others, a kdump file has not. Level 16
    // halves what is left, which then still does not fit.
    const bool elf = format == find_output_format("elf");
    const SaveRun first =
        save(options, elf ? 0x6000 * kFrameSize : 3_MiB, elf ? 0x6800 * kFrameSize : 4_MiB);
    ASSERT_EQ(first.exit_code, kExitTargetFull) << first.messages;
    const auto journal = read_journal(journal_beside(*HeldFile::at(options.to.front())));
    ASSERT_TRUE(journal);
    ASSERT_EQ(journal->steps.size(), 2U) << first.messages;

    const SaveRun second = save(options, kNever, kNever);
    EXPECT_EQ(second.exit_code, kExitOk) << second.messages;
    EXPECT_THAT(second.messages, HasSubstr("continuing"));
    EXPECT_THAT(second.messages, Not(HasSubstr("starting over")));
    auto dump = open_vmcore(options.to.front());
    ASSERT_TRUE(dump);
    std::vector<std::byte> page(kFrameSize);
    const std::pair<std::uint64_t, bool> pages[] = {
        {0x5400, true}, {0x7000, true}, {0x7400, false}};
    for (const auto& [pfn, kept] : pages) {
      FrameStatus status = FrameStatus::kFailed;
      ASSERT_TRUE((*dump)->read(Gfn{pfn}, page, {&status, 1}));
      EXPECT_EQ(status == FrameStatus::kRead, kept) << pfn;
    }
  }
}

// With all that can be told from it, whether the file is continued or written anew.
TEST_F(FilteredSave, GoesOnWithoutTheStructPagesOfWhatIsReleased) {
  for (const bool in_place : {true, false}) {
    constexpr std::uint64_t kFrames = LinuxMachine::kFramesPerSection;
    MachineOptions machine;
    machine.sections = 4;
    machine.memmap_shift = 0;
    linux_.emplace(machine);
    for (std::uint64_t section = 0; section < machine.sections; ++section)
      fill(section * kFrames + 0x5000, (section + 1) * kFrames);
    memory_.emplace(linux_->finish());
    releaser_ = &*memory_;
    SaveOptions options =
        save_options(dir_ / (in_place ? "in-place" : "anew"), find_output_format("kdump"));
    options.codec = {};
    options.levels = {16};
    options.portion_bytes = 32_MiB;
    const SaveRun first = save(options, kNever, 10_MiB);
    ASSERT_EQ(first.exit_code, kExitTargetFull) << first.messages;
    ASSERT_EQ(memory_->released(), (FrameSet{{Gfn{kFrames}, Gfn{2 * kFrames}}}));

    if (!in_place) options.codec = {find_codec("zlib"), 1};
    const SaveRun second = save(options, kNever, kNever);
    EXPECT_EQ(second.exit_code, kExitOk) << second.messages;
    EXPECT_EQ(second.messages.find("continuing") != std::string::npos, in_place);
    EXPECT_EQ(memory_->released(), linux_->dump.layout().frames);
    EXPECT_EQ(memory_->reads_of_released(), 0U);
    expect_kept_pages(options.to.front(), 16);
  }
}

}  // namespace
}  // namespace hadump
