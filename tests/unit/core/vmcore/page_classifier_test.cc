// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_classifier.h"

#include <gmock/gmock.h>

#include <bit>
#include <random>

#include "tests/fakes/linux_machine.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using Page = LinuxMachine::Page;
constexpr std::uint64_t kLru = LinuxMachine::kLru, kPrivate = LinuxMachine::kPrivate,
                        kSwapCache = LinuxMachine::kSwapCache,
                        kSwapBacked = LinuxMachine::kSwapBacked,
                        kHwPoison = LinuxMachine::kHwPoison, kAnon = LinuxMachine::kAnonMapping;

std::unique_ptr<PageClassifier> opened(LinuxMachine& machine, unsigned dump_level = 0) {
  auto classifier = PageClassifier::open(machine.finish(), dump_level);
  if (!classifier) {
    ADD_FAILURE() << classifier.error().what();
    std::abort();
  }
  return std::move(*classifier);
}

/// Runs as text: "keep 2, user 1".
std::string classes(const PageClassifier& classifier, std::uint64_t begin, std::uint64_t end) {
  constexpr const char* kNames[] = {"keep", "zero", "cache",  "private",
                                    "user", "free", "poison", "offline"};
  std::vector<PageRun> runs;
  EXPECT_TRUE(classifier.classify({Gfn{begin}, Gfn{end}}, runs));
  std::string text;
  for (const PageRun& run : runs)
    text += (text.empty() ? "" : ", ") + std::string(kNames[static_cast<int>(run.page_class)]) +
            " " + std::to_string(run.frames.frames());
  return text;
}

class PageClassifierByStyle : public testing::TestWithParam<KernelStyle> {};

TEST_P(PageClassifierByStyle, TellsEveryClass) {
  LinuxMachine machine({.style = GetParam()});
  machine.set_page(0x100, {kLru, 0, 0})
      .set_page(0x101, {kLru | kPrivate, 0, 0})
      .set_page(0x102, {kSwapBacked | kSwapCache, 0, 0})
      .set_page(0x103, {kSwapCache, 0, 0})  // without swapbacked the bit means something else
      .set_page(0x104, {kLru, kAnon, 0})
      .set_offline(0x105)
      .set_page(0x106, {kLru | kHwPoison, kAnon, 0})
      .set_slab(0x107, 0xFFFF888000000001)  // a slab's mapping may be odd
      .set_free_block(0x108, 3);
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0x100, 0x111),
            "cache 1, private 1, cache 1, keep 1, user 1, offline 1, poison 1, keep 1, free 8, "
            "keep 1");
  EXPECT_EQ(classifier->kept_unknown().frames(), 0u);
}

TEST_P(PageClassifierByStyle, TakesCompoundPagesWhole) {
  LinuxMachine machine({.style = GetParam()});
  machine.set_compound(0x200, 9, {kLru, kAnon, 0})
      .set_compound(0x400, 9, {0, 0, 0}, /*hugetlb=*/true)
      .set_compound(0x600, 9, {kLru, 0, 0})
      .set_compound(0x800, 3, {0, 0, 0});
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0x200, 0x900), "user 1024, cache 512, keep 256");
}

// A range may begin in the middle of a block, and one block may cover several sections.
TEST_P(PageClassifierByStyle, FindsBlocksThatBeginBeforeTheRange) {
  LinuxMachine machine({.style = GetParam(), .sections = 24});
  machine.set_free_block(0x400, 10).set_compound(0x40000, 18, {0, 0, 0}, /*hugetlb=*/true);
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0x7FE, 0x802), "free 2, keep 2");
  EXPECT_EQ(classes(*classifier, 0x50000, 0x50003), "user 3");
  EXPECT_EQ(classes(*classifier, 0x7FFFF, 0x80001), "user 1, keep 1");
}

// Order 63 at frame 0 would drop the whole machine.
TEST_P(PageClassifierByStyle, KeepsImpossibleOrdersAndCountsThem) {
  LinuxMachine machine({.style = GetParam()});
  machine.set_compound(0x0, 1, {kLru, kAnon, 0})
      .set_compound(0x10, 4, {kLru, kAnon, 0})
      .set_free_block(0x20, 11)
      .set_free_block(0x40, ~std::uint64_t{0})
      .set_free_block(0x61, 1)
      .set_page(0x70, {kLru | LinuxMachine::kHead, kAnon, 0});  // a head without tails
  const std::uint64_t order = 63;
  const bool in_flags = GetParam() != KernelStyle::k6_1;
  machine.put_page_bytes(1, std::as_bytes(std::span(&order, 1)).first(1), in_flags ? 0 : 17);
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0x0, 0x80), "keep 16, user 16, keep 96");
  EXPECT_EQ(classifier->kept_unknown().damaged, 5u);
}

// Reading what the machine has never accepted may kill it. It is in blocks of the largest order.
TEST_P(PageClassifierByStyle, LeavesUnacceptedMemoryOutAsFree) {
  LinuxMachine machine({.style = GetParam()});
  machine.set_unaccepted(0x400).set_unaccepted(0x900).set_page(0x800, {kLru, kAnon, 0});
  const bool has_type = GetParam() == KernelStyle::k6_12 || GetParam() == KernelStyle::k7_1;
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0x3FF, 0x1000),
            has_type ? "keep 1, free 1024, user 1, keep 2047" : "keep 1025, user 1, keep 2047");
  // Not at a border of such a block: damaged, and kept.
  EXPECT_EQ(classifier->kept_unknown().damaged, has_type ? 1u : 0u);
}

// 5.10 frees a hugetlb page with a bad page in it, and the buddy allocator merges what is free.
TEST_P(PageClassifierByStyle, FindsPoisonedPagesInsideBlocks) {
  for (const bool large : {true, false}) {
    LinuxMachine machine({.style = GetParam(), .sections = 24, .large_vmemmap = large});
    const auto poison = [&](std::uint64_t pfn) {
      machine.put_page_bytes(pfn, std::as_bytes(std::span(&kHwPoison, 1)));
    };
    machine.set_free_block(0x400, 10)
        .set_free_block(0x800, 0)
        .set_compound(0x1000, 9, {kLru, kAnon, 0})
        .set_compound(0x1200, 9, {0, 0, 0})
        .set_compound(0x40000, 18, {0, 0, 0}, /*hugetlb=*/true);
    // The second page of a compound page has more than flags there.
    for (const std::uint64_t pfn :
         {0x400U, 0x40BU, 0x7FFU, 0x800U, 0x1002U, 0x12FFU, 0x40003U, 0x50001U, 0x7FFFFU})
      poison(pfn);
    const auto all = opened(machine);
    EXPECT_EQ(classes(*all, 0x3FF, 0x802),
              "keep 1, poison 1, free 10, poison 1, free 1011, poison 2, keep 1");
    EXPECT_EQ(classes(*all, 0x1000, 0x1400),
              "user 2, poison 1, user 509, keep 255, poison 1, keep 256");
    EXPECT_EQ(classes(*all, 0x40000, 0x40005), "user 3, poison 1, user 1");
    EXPECT_EQ(classes(*all, 0x50000, 0x50003), "user 1, poison 1, user 1");
    EXPECT_EQ(classes(*all, 0x7FFFE, 0x80000), "user 1, poison 1");
    // A level that leaves blocks out does so as a whole.
    const auto least = opened(machine, kMaxDumpLevel);
    EXPECT_EQ(classes(*least, 0x3FF, 0x802), "keep 1, free 1025, keep 1");
    EXPECT_EQ(classes(*least, 0x1000, 0x1400), "user 512, keep 255, poison 1, keep 256");
    EXPECT_EQ(classes(*least, 0x50000, 0x50003), "user 3");
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, PageClassifierByStyle,
                         testing::Values(KernelStyle::k6_1, KernelStyle::k6_6, KernelStyle::k6_12,
                                         KernelStyle::k7_1));

TEST(PageClassifier, WorksWithEveryWayToMapStructPages) {
  for (const bool large : {true, false})
    for (const std::uint64_t size : {64u, 56u})
      for (const bool extreme : {true, false})
        for (const unsigned levels : {4u, 5u}) {
          LinuxMachine machine({.levels = levels,
                                .sections = 2,
                                .page_struct = size,
                                .large_vmemmap = large,
                                .extreme = extreme});
          machine.set_page(0x49, {kLru, kAnon, 0})
              .set_page(0x7FFF, {kLru, kAnon, 0})
              .set_free_block(0x8000, 10);
          const auto classifier = opened(machine);
          EXPECT_EQ(classes(*classifier, 0x48, 0x8401),
                    "keep 1, user 1, keep 32693, user 1, free 1024, keep 1")
              << "large " << large << " size " << size << " extreme " << extreme << " levels "
              << levels;
        }
}

TEST(PageClassifier, KeepsSectionsItKnowsNothingOf) {
  LinuxMachine machine({});
  machine.set_free_block(0x8000, 10).set_free_block(0x10000, 10).set_free_block(0x18000, 10);
  machine.unmap_section(1);
  machine.set_section_map(2, machine.vmemmap() | 0xB);  // not online: its struct pages are garbage
  machine.set_section_map(3, 0x12345678F);              // not an address of the kernel's
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0x0, 0x20000), "keep 131072");
  EXPECT_EQ(classifier->kept_unknown().unreadable, 32768u);
  EXPECT_EQ(classifier->kept_unknown().no_page_struct, 65536u);
}

// Frames of struct pages that are lost take only what they describe with them.
TEST(PageClassifier, KeepsWhatAnUnreadableFrameDescribes) {
  LinuxMachine machine({});
  for (std::uint64_t pfn = 0; pfn < 192; ++pfn) machine.set_page(pfn, {kLru, kAnon, 0});
  machine.dump.refuse(machine.frame_of_page_struct(64));
  const auto classifier = opened(machine);
  EXPECT_EQ(classes(*classifier, 0, 192), "user 64, keep 64, user 64");
  EXPECT_EQ(classifier->kept_unknown().unreadable, 64u);
}

TEST(PageClassifier, AppendsToTheRunsOfTheCaller) {
  LinuxMachine machine({});
  machine.set_page(0, {kLru, kAnon, 0}).set_page(1, {kLru, kAnon, 0});
  const auto classifier = opened(machine);
  std::vector<PageRun> runs;
  ASSERT_TRUE(classifier->classify({Gfn{0}, Gfn{1}}, runs));
  ASSERT_TRUE(classifier->classify({Gfn{1}, Gfn{2}}, runs));
  EXPECT_EQ(runs.size(), 2u);  // runs of an earlier call are left alone
}

TEST(PageClassifier, RefusesWhatItCannotUnderstand) {
  const auto refusal = [](auto&& damage) {
    LinuxMachine machine({});
    damage(machine.info);
    auto classifier = PageClassifier::open(machine.finish());
    return classifier ? std::string("opened") : classifier.error().what();
  };
  using Info = std::map<std::string, std::string>;
  using testing::HasSubstr;
  EXPECT_THAT(refusal([](Info& i) { i.clear(); }), HasSubstr("SIZE(page)"));
  EXPECT_THAT(refusal([](Info& i) { i["PAGESIZE"] = "65536"; }), HasSubstr("another size"));
  EXPECT_THAT(refusal([](Info& i) { i["SIZE(page)"] = "18446744073709551615"; }),
              HasSubstr("SIZE(page)="));
  EXPECT_THAT(refusal([](Info& i) { i["OFFSET(page.flags)"] = "60"; }),
              HasSubstr("OFFSET(page.flags)=60"));
  EXPECT_THAT(refusal([](Info& i) { i.erase("OFFSET(page.compound_head)"); }),
              HasSubstr("OFFSET(page.compound_info)"));
  EXPECT_THAT(refusal([](Info& i) { i.erase("NUMBER(PG_slab)"); }), HasSubstr("PG_slab"));
  EXPECT_THAT(refusal([](Info& i) { i["LENGTH(zone.free_area)"] = "64"; }),
              HasSubstr("free_area)=64"));
  EXPECT_THAT(refusal([](Info& i) { i["NUMBER(SECTION_SIZE_BITS)"] = "99"; }),
              HasSubstr("SECTION_SIZE_BITS=99"));
  EXPECT_THAT(refusal([](Info& i) { i["LENGTH(mem_section)"] = "5"; }), HasSubstr("=5 for"));
  EXPECT_THAT(refusal([](Info& i) { i["SIZE(mem_section)"] = "0"; }), HasSubstr("SIZE(mem_sec"));
  EXPECT_THAT(refusal([](Info& i) { i["SYMBOL(mem_section)"] = "ffffffff82015000"; }),
              HasSubstr("no memory section"));
}

/// What is read for `range` stays, everything else is lost.
void leave_only_what_is_used_for(LinuxMachine& machine, const FrameUses& uses, FrameRange range) {
  FrameSet others = machine.dump.layout().frames;
  for (const FrameUse& use : uses.uses())
    if (use.used_for.overlaps(range)) others.erase(use.frames);
  for (FrameRange part : others.ranges())
    for (Gfn gfn = part.begin; gfn < part.end; ++gfn.value) machine.dump.refuse(gfn);
}

// Without any other frame it says the same, and so does one that begins then.
TEST(PageClassifier, NamesEveryFrameThatItReads) {
  for (const std::uint64_t size : {64u, 56u})
    for (const bool large : {true, false})
      for (const bool extreme : {true, false})
        for (const auto shift : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(0)}) {
          LinuxMachine machine({.sections = 4,
                                .page_struct = size,
                                .large_vmemmap = large,
                                .extreme = extreme,
                                .memmap_shift = shift});
          machine.set_free_block(0x8000, 10).set_page(0x8400, {kLru, kAnon, 0});
          const auto classifier = opened(machine);
          leave_only_what_is_used_for(machine, classifier->metadata_uses(),
                                      {Gfn{0x8000}, Gfn{0x10000}});
          EXPECT_EQ(classes(*classifier, 0x8000, 0x10000), "free 1024, user 1, keep 31743");
          EXPECT_EQ(classes(*opened(machine), 0x8000, 0x10000), "free 1024, user 1, keep 31743");
          // The last section's are needed for nothing else.
          EXPECT_EQ(classifier->kept_unknown().frames(), 0u);
          classes(*classifier, 0x18000, 0x18001);
          EXPECT_GT(classifier->kept_unknown().unreadable, 0u);
        }
}

// A thread that would have to wait classifies one of the next blocks, of another section maybe.
TEST(PageClassifier, NamesWhatIsReadAhead) {
  LinuxMachine machine({.sections = 4, .memmap_shift = 0});
  const FrameUses uses = opened(machine)->metadata_uses();
  constexpr std::uint64_t kAhead = BlockCache::kAhead * kBlockFrames;
  const FrameRange next_ones{Gfn{0x10000}, Gfn{0x10200}};
  EXPECT_TRUE(uses.needed(next_ones, {{Gfn{0x10000 - kAhead}, Gfn{0x10001 - kAhead}}}));
  EXPECT_FALSE(uses.needed(next_ones, {{Gfn{0}, Gfn{0x10000 - kAhead}}}));
  EXPECT_TRUE(uses.needed(next_ones, {{Gfn{0x17FFF}, Gfn{0x18000}}}));
  EXPECT_FALSE(uses.needed(next_ones, {{Gfn{0x18000}, Gfn{0x20000}}}));
}

// The section in which it begins may have been given back long ago.
TEST(PageClassifier, LooksForPagesLargerThanASectionWhenItIsOpened) {
  for (const unsigned order : {16u, 18u}) {
    LinuxMachine machine({.sections = 16, .memmap_shift = 0});
    const std::uint64_t head = 0x40000, end = head + (std::uint64_t{1} << order);
    machine.set_compound(head, order, {0, 0, 0}, /*hugetlb=*/true);
    const auto classifier = opened(machine);
    const FrameRange last{Gfn{end - 32768}, Gfn{end}};
    const FrameUses uses = classifier->metadata_uses();
    leave_only_what_is_used_for(machine, uses, last);
    EXPECT_EQ(classes(*opened(machine), last.begin.value, end), "user 32768");
    machine.dump.refuse(machine.frame_of_page_struct(head));
    EXPECT_EQ(classes(*classifier, last.begin.value, end), "user 32768");
    EXPECT_TRUE(uses.needed({Gfn{head}, Gfn{head + 1}}, {{Gfn{end - 1}, Gfn{end}}}));
    // Those between have no head.
    for (std::uint64_t at = head + 32768; at < last.begin.value; at += 32768)
      EXPECT_FALSE(uses.needed({Gfn{at}, Gfn{at + 32768}}, {{Gfn{end - 1}, Gfn{end}}}));
  }
}

/// A machine filled with random blocks, and what each frame should be.
struct RandomMachine {
  explicit RandomMachine(unsigned seed, MachineOptions options)
      : machine(options), truth(options.sections * 32768, PageClass::kKeep) {
    std::mt19937 random(seed);  // the same every time
    for (std::uint64_t pfn = 0; pfn < truth.size();) {
      const auto aligned = static_cast<unsigned>(std::countr_zero(pfn | 0x40000));
      const unsigned order = std::min(aligned, static_cast<unsigned>(random() % 19));
      const auto kind = random() % 6;
      const std::uint64_t frames = std::uint64_t{1} << order;
      PageClass is = PageClass::kKeep;
      std::uint64_t length = frames;
      if (kind == 0 && order <= 10) {
        machine.set_free_block(pfn, order);
        is = PageClass::kFree;
      } else if (kind == 1 && order > 0 && order <= 10) {
        machine.set_compound(pfn, order, {kLru, kAnon, 0});
        is = PageClass::kUser;
      } else if (kind == 2 && order > 0 && order <= 9) {
        machine.set_compound(pfn, order, {kLru | kPrivate, 0, 0});
        is = PageClass::kCachePrivate;
      } else if (kind == 3) {
        machine.set_page(pfn, {kLru, 0, 0});
        is = PageClass::kCacheNonPrivate;
        length = 1;
      }
      for (std::uint64_t i = 0; i < length && pfn + i < truth.size(); ++i) truth[pfn + i] = is;
      pfn += length;
    }
  }

  LinuxMachine machine;
  std::vector<PageClass> truth;
};

TEST(PageClassifier, AgreesWithTheTruthOfRandomMachinesInAnyChunks) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    RandomMachine random(seed, {.style = seed % 2 == 0 ? KernelStyle::k6_1 : KernelStyle::k6_12,
                                .levels = seed % 3 == 0 ? 5u : 4u,
                                .sections = 2,
                                .large_vmemmap = seed % 2 == 1});
    const auto classifier = opened(random.machine);
    std::mt19937 sizes(seed);
    std::vector<PageRun> runs;
    for (std::uint64_t at = 0; at < random.truth.size();) {
      const std::uint64_t end =
          std::min<std::uint64_t>(at + 1 + sizes() % 20000, random.truth.size());
      runs.clear();
      ASSERT_TRUE(classifier->classify({Gfn{at}, Gfn{end}}, runs));
      std::uint64_t next = at;
      for (const PageRun& run : runs) {
        ASSERT_EQ(run.frames.begin.value, next);
        for (; next < run.frames.end.value; ++next)
          ASSERT_EQ(run.page_class, random.truth[next]) << "frame " << next << " seed " << seed;
      }
      ASSERT_EQ(next, end);
      at = end;
    }
    EXPECT_EQ(classifier->kept_unknown().frames(), 0u);
  }
}

}  // namespace
}  // namespace hadump
