// SPDX-License-Identifier: GPL-2.0-or-later
// The order in which memory is given back, on a made-up Linux whose page classes are read from its
// own memory.
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

}  // namespace
}  // namespace hadump
