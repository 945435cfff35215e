// SPDX-License-Identifier: GPL-2.0-or-later
// Saves that leave pages out, on a made-up Linux whose page classes are read from its own memory.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "core/save/dump_contents.h"
#include "core/save/give_back.h"
#include "core/save/saver.h"
#include "tests/fakes/linux_machine.h"
#include "tests/unit/core/save/releasable_vmcore.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

// What is still to be saved, and what is given back, when a portion has become durable.
struct Moment {
  FrameSet unsaved;
  FrameSet released;
};

class Moments : public DurableRecord {
 public:
  explicit Moments(const ReleasableVmcore& memory)
      : memory_(memory), unsaved_(memory.layout().frames) {}
  Result<> add_durable(const FrameSet& frames, const FrameSet&, unsigned) override {
    all_.push_back({unsaved_, memory_.released()});
    unsaved_.erase(frames);
    return {};
  }
  const std::vector<Moment>& all() const { return all_; }

 private:
  const ReleasableVmcore& memory_;
  FrameSet unsaved_;
  std::vector<Moment> all_;
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
  if (random() % 3 > 0) options.memmap_shift = random() % 2 == 0 ? 0 : random() % options.sections;
  return options;
}

// Most of the memory is free, so that a run costs little; the rest is of all classes.
void use_memory_randomly(LinuxMachine& machine, const MachineOptions& options,
                         std::mt19937_64& random) {
  constexpr std::uint64_t kBlock = 1024;
  const std::uint64_t frames = options.sections * LinuxMachine::kFramesPerSection;
  for (std::uint64_t pfn = 0; pfn < frames; pfn += kBlock) {
    if (pfn >= 0x4000 && pfn < 0x6000) continue;  // The kernel's own tables are there.
    if (options.memmap_shift && pfn % LinuxMachine::kFramesPerSection == 0) continue;
    const std::uint64_t use = random() % 16;
    if (use > 1) machine.set_free_block(pfn, 10);
    if (use == 1)
      machine.set_page(
          pfn, {LinuxMachine::kLru | LinuxMachine::kSwapBacked, LinuxMachine::kAnonMapping, 0, 0});
    machine.dump.fill(Gfn{pfn + random() % kBlock}, std::byte{0x5a});
  }
}

struct SaveShape {
  std::uint64_t block_bytes = 128_MiB;
  std::uint64_t portion_bytes = 32_MiB;
  std::uint64_t files = 1;
  unsigned workers = 2;
  unsigned level = 31;
};

SaveShape random_shape(std::mt19937_64& random) {
  SaveShape shape;
  shape.block_bytes = 1_MiB << random() % 5;
  shape.files = 1 + random() % 2;
  shape.level = 16 + static_cast<unsigned>(random() % 16);
  shape.workers = 1 + static_cast<unsigned>(random() % 2);
  shape.portion_bytes = 1_MiB << random() % 8;
  return shape;
}

using NeededLater = decltype(OpenedFilter::needed_later);

// Saves the whole machine and gives each portion back. @param needed  overrides the frames that are
// kept for later.
void save_all_of(ReleasableVmcore& memory, const SaveShape& shape, const NeededLater* needed,
                 DurableRecord* record) {
  const FrameSet frames = memory.layout().frames;
  auto opened = open_filter(memory);
  ASSERT_TRUE(opened) << opened.error().what();
  FrameLedger ledger(*memory.regions());
  ledger.expect(frames, {}, {});
  BlockReleaser blocks(memory, ledger, shape.block_bytes, [](const std::string&) {});
  {
    std::vector<std::unique_ptr<DumpSink>> sinks;
    for (std::uint64_t count = shape.files; count > 0; --count)
      sinks.push_back(std::make_unique<SizeSink>());
    DumpOptions options;
    options.dump_level = shape.level;
    options.workers = shape.workers;
    auto writer =
        DumpWriter::create(memory, opened->filter.get(), frames, options, std::move(sinks));
    ASSERT_TRUE(writer) << writer.error().what();
    Saver saver(**writer, record, &blocks, ledger,
                needed != nullptr ? *needed : opened->needed_later,
                {shape.portion_bytes, shape.level, {}});
    const auto saved = saver.save_portions();
    ASSERT_TRUE(saved) << saved.error().what();
    ASSERT_FALSE(memory.released().empty());
    const auto finished = (*writer)->finish();
    ASSERT_TRUE(finished) << finished.error().what();
  }
  opened->filter.reset();
  EXPECT_TRUE(*release_rest(blocks, memory, ledger));
  EXPECT_EQ(memory.released(), frames);
}

// A machine of any kind, its memory in random use.
class RandomlyUsedMachine : public LinuxMachine {
 public:
  explicit RandomlyUsedMachine(std::mt19937_64& random)
      : RandomlyUsedMachine(random_machine(random), random) {}

 private:
  RandomlyUsedMachine(const MachineOptions& options, std::mt19937_64& random)
      : LinuxMachine(options) {
    use_memory_randomly(*this, options, random);
    finish();
  }
};

// @return reads of memory that had been given back. @param needed  see save_all_of().
std::uint64_t reads_of_released_on_random_machine(std::uint64_t seed, const NeededLater* needed) {
  std::mt19937_64 random(seed);
  RandomlyUsedMachine machine(random);
  ReleasableVmcore memory(machine.dump);
  save_all_of(memory, random_shape(random), needed, nullptr);
  return memory.reads_of_released();
}

// Page tables, section tables and struct pages lie in the memory that is being given back.
TEST(ReleaseOrder, NothingIsReadAfterItsRelease) {
  for (std::uint64_t seed = 0; seed < 16 && !testing::Test::HasFailure(); ++seed)
    EXPECT_EQ(reads_of_released_on_random_machine(seed, nullptr), 0U) << seed;
}

// The test above would notice: without what is needed later, most of those machines lose some.
TEST(ReleaseOrder, MattersToThePageFilter) {
  const NeededLater nothing;
  unsigned noticed = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    noticed += reads_of_released_on_random_machine(seed, &nothing) > 0 ? 1 : 0;
  EXPECT_GE(noticed, 4U);
}

// After a first dump each block holds its own struct pages.
TEST(ReleaseOrder, MemoryGoesAsTheSaveGoesOn) {
  for (const bool large : {true, false}) {
    MachineOptions options;
    options.sections = 6;
    options.large_vmemmap = large;
    options.memmap_shift = 0;
    LinuxMachine machine(options);
    std::mt19937_64 random(1);
    use_memory_randomly(machine, options, random);
    machine.finish();
    ReleasableVmcore memory(machine.dump);
    Moments moments(memory);
    save_all_of(memory, {}, nullptr, &moments);
    // The first block has the section tables.
    constexpr std::uint64_t kFrames = LinuxMachine::kFramesPerSection;
    const FrameSet gone{{Gfn{kFrames}, Gfn{5 * kFrames}}};
    EXPECT_EQ(moments.all().back().released.bytes(), gone.bytes());
    EXPECT_EQ(moments.all().back().released, gone);
    EXPECT_EQ(memory.reads_of_released(), 0U);
  }
}

// Blocks whose struct pages are in the next one wait for nothing; the next one waits for them.
TEST(ReleaseOrder, ABlockGoesWhenItIsNeededNoMore) {
  MachineOptions options;
  options.sections = 6;
  options.memmap_shift = 5;
  LinuxMachine machine(options);
  machine.finish();
  ReleasableVmcore memory(machine.dump);
  Moments moments(memory);
  save_all_of(memory, {}, nullptr, &moments);
  constexpr std::uint64_t kFrames = LinuxMachine::kFramesPerSection;
  // The first section's are in the last block, and those of the last in the one before.
  EXPECT_EQ(moments.all().back().released, (FrameSet{{Gfn{kFrames}, Gfn{4 * kFrames}}}));
  EXPECT_EQ(memory.reads_of_released(), 0U);
}

std::vector<PageRun> runs_of(const PageFilter& filter, const FrameSet& frames) {
  std::vector<PageRun> runs;
  for_each_run(frames, &filter, [&](const PageRun& run) { runs.push_back(run); });
  return runs;
}

// A save that goes on after a kill, with nothing of what was saved before.
void expect_same_classes_later(const VmcoreSource& memory, const Moments& moments) {
  const auto first = open_filter(memory);
  ASSERT_TRUE(first);
  const std::size_t step = std::max<std::size_t>(moments.all().size() / 3, 1);
  for (std::size_t i = 0; i < moments.all().size(); i += step) {
    const Moment& moment = moments.all()[moments.all().size() - 1 - i];
    const RestOfVmcore rest(memory, moment.released);
    const auto again = open_filter(rest);
    ASSERT_TRUE(again) << again.error().what();
    EXPECT_TRUE(std::ranges::equal(runs_of(*first->filter, moment.unsaved),
                                   runs_of(*again->filter, moment.unsaved),
                                   [](const PageRun& a, const PageRun& b) {
                                     return a.frames == b.frames && a.page_class == b.page_class;
                                   }))
        << moment.unsaved.bytes() << " bytes left";
  }
}

TEST(ReleaseOrder, ALaterSaveTellsPagesApartAlike) {
  for (std::uint64_t seed = 100; seed < 108 && !testing::Test::HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    RandomlyUsedMachine machine(random);
    ReleasableVmcore memory(machine.dump);
    Moments moments(memory);
    save_all_of(memory, random_shape(random), nullptr, &moments);
    expect_same_classes_later(machine.dump, moments);
  }
}

// Of 1 GiB, or a part of that: their head is in a section that was saved long before.
TEST(ReleaseOrder, PagesMayBeLargerThanASection) {
  for (std::uint64_t seed = 0; seed < 4 && !testing::Test::HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    MachineOptions options = random_machine(random);
    options.sections = 10;
    const unsigned order = 16 + static_cast<unsigned>(seed % 3);
    // Where a larger page might begin, the struct pages are gone then.
    if (order < 18) options.memmap_shift = 0;
    LinuxMachine machine(options);
    use_memory_randomly(machine, options, random);
    const std::uint64_t size = std::uint64_t{1} << order;
    const std::uint64_t head = order == 18 ? 0 : size;
    machine.set_compound(head, order, {LinuxMachine::kLru, LinuxMachine::kAnonMapping, 0, 0},
                         random() % 2 == 0);
    machine.finish();
    ReleasableVmcore memory(machine.dump);
    Moments moments(memory);
    SaveShape shape = random_shape(random);
    shape.portion_bytes = 32_MiB << random() % 3;
    shape.block_bytes = 1_MiB;
    save_all_of(memory, shape, nullptr, &moments);
    EXPECT_EQ(memory.reads_of_released(), 0U) << seed;
    expect_same_classes_later(machine.dump, moments);
  }
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
        [&](const std::string& path,
            const std::string& partial) -> Result<std::unique_ptr<DumpSink>> {
          auto file = partial.empty() ? open_file_sink(path) : reopen_file_sink(partial, path);
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
    for (const PageRun& run : runs_of(*truth->filter, linux_->dump.layout().frames))
      for (Gfn gfn = run.frames.begin; gfn < run.frames.end; ++gfn.value) {
        FrameStatus in_dump = FrameStatus::kFailed, in_memory = FrameStatus::kFailed;
        ASSERT_TRUE((*dump)->read(gfn, found, {&in_dump, 1}));
        ASSERT_TRUE(linux_->dump.read(gfn, wanted, {&in_memory, 1}));
        const bool keeps = !is_left_out(run.page_class, level);
        kept += keeps ? 1 : 0;
        wrong += (in_dump == FrameStatus::kRead) != keeps || (keeps && found != wanted) ? 1 : 0;
      }
    EXPECT_EQ(wrong, 0U) << "of " << kept << " that are kept";
  }

  TemporaryDirectory dir_;
  std::optional<LinuxMachine> linux_;
  std::optional<ReleasableVmcore> memory_;
  RegionReleaser* releaser_ = nullptr;
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
        save_options(dir_ / (in_place ? "in-place" : "anew"), OutputFormat::kKdump);
    options.codec = {CodecKind::kNone, 0};
    options.levels = {16};
    options.portion_bytes = 32_MiB;
    const SaveRun first = save(options, kNever, 10_MiB);
    ASSERT_EQ(first.exit_code, kExitTargetFull) << first.messages;
    ASSERT_EQ(memory_->released(), (FrameSet{{Gfn{kFrames}, Gfn{2 * kFrames}}}));

    if (!in_place) options.codec = {CodecKind::kZlib, 1};
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
