// Saves that leave pages out, on a made-up Linux whose page classes are read from its own memory.
#include <gmock/gmock.h>

#include <atomic>
#include <mutex>
#include <random>

#include "tests/fakes/linux_machine.h"
#include "tests/unit/userspace/save_harness.h"
#include "userspace/engine.h"
#include "userspace/saver.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

// Old memory that can be given back: what is read after that is an error, not zeros.
class ReleasableVmcore : public VmcoreSource, public RegionReleaser {
 public:
  explicit ReleasableVmcore(const VmcoreSource& memory) : memory_(memory) {}

  const VmcoreLayout& layout() const override { return memory_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    {
      const std::lock_guard lock(mutex_);
      if (released_.overlaps({first, Gfn{first.value + status.size()}})) ++reads_of_released_;
    }
    return memory_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

  Result<RegionTable> regions() override { return fail(ErrorCode::kNotFound, "all is back"); }
  Result<> release(FrameRange range) override {
    const std::lock_guard lock(mutex_);
    released_.insert(range);
    return {};
  }
  Result<> report_progress(std::string_view) override { return {}; }

  std::uint64_t reads_of_released() const { return reads_of_released_; }
  const FrameSet& released() const { return released_; }

 private:
  const VmcoreSource& memory_;
  mutable std::mutex mutex_;  // protects released_
  FrameSet released_;
  mutable std::atomic<std::uint64_t> reads_of_released_{0};
};

// A file of which only its size matters.
class SizeSink : public DumpSink {
 public:
  bool can_rewrite() const override { return true; }
  Result<> write_data(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> write_table(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> make_durable() override { return {}; }
  Result<> publish(std::uint64_t) override { return {}; }
  std::string location() const override { return "nowhere"; }
};

MachineOptions random_machine(std::mt19937_64& random) {
  static constexpr KernelStyle kStyles[] = {KernelStyle::k6_1, KernelStyle::k6_6,
                                            KernelStyle::k6_12, KernelStyle::k7_1};
  MachineOptions options;
  options.style = kStyles[random() % 4];
  options.levels = 4 + static_cast<unsigned>(random() % 2);
  options.sections = 2 + random() % 2;
  options.large_vmemmap = random() % 2 == 0;
  options.extreme = random() % 2 == 0;
  return options;
}

// Most of the memory is free, so that a run costs little; the rest is of all classes.
void use_memory_randomly(LinuxMachine& machine, std::uint64_t sections, std::mt19937_64& random) {
  constexpr std::uint64_t kBlock = 1024;
  for (std::uint64_t pfn = 0; pfn < sections * LinuxMachine::kFramesPerSection; pfn += kBlock) {
    if (pfn >= 0x4000 && pfn < 0x6000) continue;  // The kernel's own tables are there.
    const std::uint64_t use = random() % 16;
    if (use > 1) machine.set_free_block(pfn, 10);
    if (use == 1)
      machine.set_page(
          pfn, {LinuxMachine::kLru | LinuxMachine::kSwapBacked, LinuxMachine::kAnonMapping, 0, 0});
    machine.dump.fill(Gfn{pfn + random() % kBlock}, std::byte{0x5a});
  }
}

// Saves the whole machine and gives each portion back. @param needed  overrides the frames that are
// kept for later.
void save_all_of(ReleasableVmcore& memory, const FrameSet* needed, std::mt19937_64& random) {
  const FrameSet frames = memory.layout().frames;
  auto opened = open_filter(memory);
  ASSERT_TRUE(opened) << opened.error().what();
  BlockReleaser blocks(memory, frames, {}, 1_MiB << random() % 5, [](const std::string&) {});
  {
    std::vector<std::unique_ptr<DumpSink>> sinks;
    for (std::uint64_t count = 1 + random() % 2; count > 0; --count)
      sinks.push_back(std::make_unique<SizeSink>());
    DumpOptions options;
    options.dump_level = 16 + static_cast<unsigned>(random() % 16);
    options.workers = 1 + static_cast<unsigned>(random() % 2);
    auto writer =
        DumpWriter::create(memory, opened->filter.get(), frames, options, std::move(sinks));
    ASSERT_TRUE(writer) << writer.error().what();
    Saver saver(**writer, nullptr, &blocks, frames,
                needed != nullptr ? *needed : opened->needed_later,
                {1_MiB << random() % 8, options.dump_level, {}, {}});
    const auto saved = saver.save_portions();
    ASSERT_TRUE(saved) << saved.error().what();
    ASSERT_FALSE(memory.released().empty());
    const auto finished = (*writer)->finish();
    ASSERT_TRUE(finished) << finished.error().what();
  }
  opened->filter.reset();
  EXPECT_TRUE(*release_rest(blocks, memory, {}));
  EXPECT_EQ(memory.released(), frames);
}

// @return reads of memory that had been given back. @param needed  see save_all_of().
std::uint64_t reads_of_released_on_random_machine(std::uint64_t seed, const FrameSet* needed) {
  std::mt19937_64 random(seed);
  const MachineOptions options = random_machine(random);
  LinuxMachine machine(options);
  use_memory_randomly(machine, options.sections, random);
  machine.finish();
  ReleasableVmcore memory(machine.dump);
  save_all_of(memory, needed, random);
  return memory.reads_of_released();
}

// Page tables, section tables and struct pages lie in the memory that is being given back.
TEST(ReleaseOrder, NothingIsReadAfterItsRelease) {
  for (std::uint64_t seed = 0; seed < 8 && !testing::Test::HasFailure(); ++seed)
    EXPECT_EQ(reads_of_released_on_random_machine(seed, nullptr), 0U) << seed;
}

// The test above would notice: without what is needed later, most of those machines lose some.
TEST(ReleaseOrder, MattersToThePageFilter) {
  const FrameSet nothing;
  unsigned noticed = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    noticed += reads_of_released_on_random_machine(seed, &nothing) > 0 ? 1 : 0;
  EXPECT_GE(noticed, 4U);
}

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

// A quarter of the section has content, one page in 32; every other block of it is free.
class FilteredSave : public testing::Test {
 protected:
  FilteredSave() {
    MachineOptions options;
    options.sections = 1;
    linux_.emplace(options);
    for (std::uint64_t pfn = 0x5000; pfn < 0x8000; pfn += 1024) {
      if ((pfn & 1024) != 0) linux_->set_free_block(pfn, 10);
      for (std::uint64_t i = 0; i < 1024; i += 8)
        linux_->dump.fill(Gfn{pfn + i}, static_cast<std::byte>(1 + i % 251));
    }
    linux_->finish();
  }

  SaveRun save(const SaveOptions& options, std::uint64_t full_once, std::uint64_t full) {
    std::ostringstream messages;
    spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(messages));
    const SteadyClock clock;
    const SaveSeams seams{
        nullptr,
        WaitingDump{std::string(32, 'a'), "added", 1'000'000'000, 1},
        "guest",
        clock,
        log,
        {},
        [&](const std::vector<std::string>& paths) -> Result<std::unique_ptr<VmcoreSource>> {
          if (paths.front() != "/proc/vmcore") return open_vmcore(paths);
          return std::make_unique<ReleasableVmcore>(linux_->dump);
        },
        [&](const std::string& path,
            const std::string& partial) -> Result<std::unique_ptr<DumpSink>> {
          auto file = partial.empty() ? open_file_sink(path) : reopen_file_sink(partial, path);
          if (!file) return file;
          return std::make_unique<FullSink>(std::move(*file), full_once, full);
        },
        HADUMP_BLOCK_SIZE,
        ""};
    std::ostringstream out;
    const int exit_code = run_save(options, seams, {out, out, false});
    return {exit_code, messages.str()};
  }

  TemporaryDirectory dir_;
  std::optional<LinuxMachine> linux_;
};

// The part before the disk was full has the free pages, the part behind it has not.
TEST_F(FilteredSave, ContinuesInPlaceAfterAFallback) {
  for (const OutputFormat format : {OutputFormat::kKdump, OutputFormat::kElf}) {
    SaveOptions options =
        save_options(dir_ / (format == OutputFormat::kElf ? "elf" : "kdump"), format);
    options.codec = {CodecKind::kNone, 0};
    options.levels = {0, 16};
    // An ELF file has room for the pages of zeros between others, a kdump file has not. Level 16
    // halves what is left, which then still does not fit.
    const bool elf = format == OutputFormat::kElf;
    const SaveRun first =
        save(options, elf ? 0x6000 * kFrameSize : 3_MiB, elf ? 0x6800 * kFrameSize : 4_MiB);
    ASSERT_EQ(first.exit_code, kExitTargetFull) << first.messages;
    const auto journal = read_journal(journal_path(options.to.front()));
    ASSERT_TRUE(journal);
    ASSERT_EQ(journal->steps.size(), 2U) << first.messages;

    const SaveRun second = save(options, kNever, kNever);
    EXPECT_EQ(second.exit_code, kExitOk) << second.messages;
    EXPECT_THAT(second.messages, HasSubstr("continuing"));
    EXPECT_THAT(second.messages, Not(HasSubstr("anew")));
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

}  // namespace
}  // namespace hadump
