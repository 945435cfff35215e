// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest can say or leave in its memory, at its worst.
#include <elf.h>
#include <gmock/gmock.h>

#include <random>

#include "core/abi/hadump_abi.h"
#include "hv/domain/frame_survey.h"
#include "hv/domain/pvh_guest.h"
#include "hv/domain/vmcoreinfo.h"
#include "hv/rescue/dump_node.h"
#include "hv/rescue/kernel_image.h"
#include "hv/rescue/registration.h"
#include "tests/fakes/boot_file_samples.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

class RegistrationTest : public testing::Test {
 protected:
  Result<Registration> check(GuestKeys keys) {
    keys.emplace("version", "1");
    return check_registration(keys, ram, plan, 200_MiB);
  }
  FrameSet ram = *pvh_ram(1_GiB + 1_MiB);
  WindowPlan plan = *plan_window(ram, 256_MiB);
};

TEST_F(RegistrationTest, TakesAGoodOne) {
  const auto got = check({{"vmcoreinfo", "0x3fe01000 0x1000"},
                          {"page-offset", "0xffff9a4000000000"},
                          {"mode", "registered"},
                          {"save-area", "0x20000000 0xc800000"}});
  ASSERT_TRUE(got) << got.error().what();
  EXPECT_EQ(got->vmcoreinfo->address, GuestPhys{0x3fe01000});
  EXPECT_EQ(got->page_offset, GuestVirt{0xffff9a4000000000});
  EXPECT_EQ(got->save_area, frames_of_bytes(0x20000000, 200_MiB));
}

TEST_F(RegistrationTest, KnowsItsAbilities) {
  for (const char* list : {"rescue", "fly rescue", "rescue fly", "  rescue  "})
    EXPECT_TRUE(check({{"abilities", list}})->can_rescue) << list;
  for (const char* list : {"", " ", "rescued", "a-rescue", "res cue", "rescue\n"})
    EXPECT_FALSE(check({{"abilities", list}})->can_rescue) << list;
  EXPECT_FALSE(check({})->can_rescue);
}

TEST_F(RegistrationTest, RefusesEveryAbsurdity) {
  const GuestKeys absurd[] = {
      {{"vmcoreinfo", ""}, {"mode", "both"}},
      {{"vmcoreinfo", "0x1000"}},
      {{"vmcoreinfo", "0x1000 "}},
      {{"vmcoreinfo", "0x1000 0x1000 0x1000"}},
      {{"vmcoreinfo", "0x1000  0x1000"}},
      {{"vmcoreinfo", "-1 0x1000"}},
      {{"vmcoreinfo", "0x1000 0x0"}},
      {{"vmcoreinfo", "0x1000 0x10001"}},              // more than 64 KiB
      {{"vmcoreinfo", "0xfffffffffffff000 0x1000"}},   // wraps
      {{"vmcoreinfo", "0x400ff000 0x2000"}},           // leaves RAM
      {{"vmcoreinfo", "0x10000000000000000 0x1000"}},  // no 64-bit number
      {{"page-offset", "0x1000"}},                     // no kernel address
      {{"page-offset", "0xffff888000001000"}},         // not 1 GiB-aligned
      {{"page-offset", "garbage"}},
      {{"mode", "registered"}},                                         // without a save area
      {{"mode", "registered"}, {"save-area", "0x0 0xc800000"}},         // the window
      {{"mode", "registered"}, {"save-area", "0xfe00000 0xc800000"}},   // reaches into it
      {{"mode", "registered"}, {"save-area", "0x20001000 0xc800000"}},  // not aligned
      {{"mode", "registered"}, {"save-area", "0x20000000 0xc7ff000"}},  // length not aligned
      {{"mode", "registered"}, {"save-area", "0x20000000 0xc600000"}},  // too short
      {{"mode", "registered"}, {"save-area", "0x38000000 0xc800000"}},  // beyond RAM's end
      {{"mode", "registered"}, {"save-area", "0xffffffffffe00000 0x400000"}},
      {{"mode", std::string(300, 'r')}},
  };
  for (const GuestKeys& keys : absurd) {
    const auto got = check(keys);
    EXPECT_FALSE(got) << testing::PrintToString(keys);
    if (!got) {
      EXPECT_EQ(got.error().code(), ErrorCode::kBadData);
    }
  }
  EXPECT_EQ(check_registration({}, ram, plan, 1).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(check_registration({{"version", "2"}}, ram, plan, 1).error().code(),
            ErrorCode::kBadData);
}

TEST_F(RegistrationTest, ProgressLeavesGarbageOut) {
  const GuestProgress progress = check_progress({{"state", "exploding"},
                                                 {"dump-id", "zz"},
                                                 {"mem-held", "99999999999999"},
                                                 {"progress", "a\nb\x1b[2J"}},
                                                ram);
  EXPECT_EQ(progress.state, GuestState::kNone);
  EXPECT_EQ(progress.dump_id, "");
  EXPECT_FALSE(progress.held_bytes);
  EXPECT_EQ(progress.text, "");
}

TEST_F(RegistrationTest, TakesAPercentageFromTheSaversLine) {
  const auto percent = [&](const char* line) {
    return check_progress({{"progress", line}}, ram).saved_percent;
  };
  EXPECT_EQ(percent("saving  42% of 768 MiB, 12 MiB written, 256 MiB released"), 42U);
  EXPECT_EQ(percent("saving   0% of 768 MiB"), 0U);
  EXPECT_EQ(percent("finishing 100% of 768 MiB"), 100U);
  for (const char* line : {"", "saving", "saving 101% of 1 GiB", "saving 4294967338% of 1 GiB",
                           "saving -1% of", "saving %", "saving 4 2%", "42%", "100% \n"})
    EXPECT_FALSE(percent(line)) << line;
}

DumpNode sample_node() {
  DumpNode node;
  node.dump_id = {9, 8, 7};
  node.boot_regions = {{frames_of_bytes(0, 256_MiB), GuestPhys{4_GiB + 2_MiB}}};
  node.save_area = frames_of_bytes(4_GiB, 260_MiB);
  node.held = {frames_of_bytes(256_MiB, 256_MiB)};
  node.holes = {frames_of_bytes(300_MiB, 4096)};
  node.released = {frames_of_bytes(512_MiB, 128_MiB)};
  node.block_table = {GuestPhys{4_GiB + 0x1000}, 5};
  node.elf_header = {GuestPhys{4_GiB + 0x2000}, 700};
  node.cpu_state = {GuestPhys{4_GiB + 0x3000}, 900};
  node.hpte = {GuestPhys{4_GiB + 0x4000}, 48};
  node.crash_time = 1700000000;
  node.boots = 3;
  return node;
}

TEST(DumpNode, ComesBackAsItWas) {
  const auto tree = encode_dump_node(sample_node());
  ASSERT_TRUE(tree);
  const auto node = decode_dump_node(*tree);
  ASSERT_TRUE(node) << node.error().what();
  EXPECT_EQ(*node, sample_node());
}

// RTAS's layout, as fadump's tools read it: big-endian, 40 bytes and 40 for each section.
TEST(DumpNode, HoldsTheRtasStructureBitForBit) {
  const auto tree = encode_dump_node(sample_node());
  const std::string_view bytes(reinterpret_cast<const char*>(tree->data()), tree->size());
  using namespace std::string_view_literals;
  EXPECT_NE(bytes.find("\0\0\0\x01\0\x03\x80\0\0\0\0\x28"sv), std::string_view::npos);
  // Boot region: flag 1, type 0x11, source 0, 256 MiB, 256 MiB dumped, at 4 GiB + 2 MiB.
  EXPECT_NE(bytes.find("\0\0\0\x01\0\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0\0\0"
                       "\0\0\0\x01\0\x20\0\0"sv),
            std::string_view::npos);
}

TEST(DumpNode, RefusesBadRelations) {
  const std::function<void(DumpNode&)> spoil[] = {
      [](DumpNode& n) { n.held.insert(frames_of_bytes(128_MiB, 64_MiB)); },
      [](DumpNode& n) { n.released.insert(frames_of_bytes(400_MiB, 1_MiB)); },
      [](DumpNode& n) { n.holes.insert(frames_of_bytes(1_GiB, 4096)); },
      [](DumpNode& n) { n.block_table.address = GuestPhys{0x1000}; },
      [](DumpNode& n) { n.hpte.bytes = 1_GiB; },
      [](DumpNode& n) { n.save_area = frames_of_bytes(300_MiB, 260_MiB); },
      [](DumpNode& n) { n.boot_regions[0].copy = GuestPhys{8_GiB}; },
      [](DumpNode& n) { n.boot_regions.clear(); },
  };
  for (const auto& bend : spoil) {
    DumpNode node = sample_node();
    bend(node);
    const auto tree = encode_dump_node(node);
    ASSERT_TRUE(tree);
    EXPECT_FALSE(decode_dump_node(*tree)) << &bend - spoil;
  }
}

TEST(DumpNode, SurvivesRandomDamage) {
  const auto tree = encode_dump_node(sample_node());
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    auto bent = *tree;
    for (unsigned n = random() % 4 + 1; n > 0; --n)
      bent[random() % bent.size()] = static_cast<std::byte>(random());
    bent.resize(random() % 8 == 0 ? random() % bent.size() : bent.size());
    static_cast<void>(decode_dump_node(bent));
  }
}

TEST(SurveyFromRecords, RefusesOverlapAndOverflow) {
  const std::vector<hadump_hpte> bad[] = {
      {{0, 16, 1, 0}, {8, 8, 1, 0}},
      {{16, 1, 1, 0}, {0, 1, 1, 0}},
      {{0, 0, 1, 0}},
      {{~0ULL, 2, 1, 0}},
      {{0, ~0ULL, 1, 0}},
      {{0, 1, 9, 0}},
  };
  for (const auto& records : bad) EXPECT_FALSE(survey_from_records(records));
}

// As alternating as a guest can make its memory; both ways must not take longer than they are long.
TEST(SurveyFromRecords, TakesTheLongestListThereIs) {
  std::vector<hadump_hpte> records;
  for (std::uint64_t gfn = 0; gfn < kMaxSurveyRecords; ++gfn)
    records.push_back(
        {gfn, 1, static_cast<u32>(gfn % 2 ? HADUMP_HPTE_RAM : HADUMP_HPTE_SPECIAL), 0});
  const auto survey = survey_from_records(records);
  ASSERT_TRUE(survey);
  EXPECT_EQ(survey->special.ranges().size(), kMaxSurveyRecords / 2);
  EXPECT_EQ(survey->dumped(), (FrameSet{{Gfn{0}, Gfn{kMaxSurveyRecords}}}));
  EXPECT_EQ(survey->records().size(), kMaxSurveyRecords);
}

TEST(SurveyFrames, TellsHypervisorPagesFromHoles) {
  InMemoryGuest guest{{Gfn{0}, Gfn{128_MiB >> kFrameShift}}};
  for (std::uint64_t gfn = 1; gfn < 2000; gfn += 2)
    if (gfn < 500 || gfn >= 600) guest.make_special(Gfn{gfn});
  ASSERT_TRUE(guest.remove({Gfn{500}, Gfn{600}}));
  const FrameSet ram{{Gfn{0}, Gfn{256_MiB >> kFrameShift}}};
  const WindowPlan plan = *plan_window(ram, 128_MiB);

  const auto survey = survey_frames(guest, ram, plan.boot_frames(), {});

  ASSERT_TRUE(survey) << survey.error().what();
  EXPECT_EQ(survey->special.frames(), 950U);
  EXPECT_TRUE(survey->absent.contains(FrameRange{Gfn{500}, Gfn{600}}));
  EXPECT_FALSE(survey->absent.contains(Gfn{499}));
  EXPECT_TRUE(survey->special.contains(Gfn{601}));
  EXPECT_TRUE(survey->dumped().contains(FrameRange{Gfn{600}, Gfn{2000}}));
}

TEST(SurveyFrames, StopsWhereNoDumpCouldListTheHoles) {
  constexpr std::uint64_t kFrames = 8_GiB >> kFrameShift;
  InMemoryGuest guest;
  for (std::uint64_t gfn = 0; gfn < kFrames; gfn += 2) guest.add({Gfn{gfn}, Gfn{gfn + 1}});
  const FrameSet ram{{Gfn{0}, Gfn{kFrames}}};

  const auto survey = survey_frames(guest, ram, plan_window(ram, 128_MiB)->boot_frames(), {});

  ASSERT_FALSE(survey);
  EXPECT_EQ(survey.error().code(), ErrorCode::kUnsupported);
  // As many as there may be records, and what the threads had begun.
  EXPECT_LT(guest.frames_looked_at(), kMaxSurveyRecords + 16 * 16384);
}

// Pieces end where the scan cuts them, which makes no holes.
TEST(SurveyFrames, CountsHolesAndNotThePiecesOfTheScan) {
  constexpr std::uint64_t kFrames = 2_GiB >> kFrameShift;
  InMemoryGuest guest{{Gfn{0}, Gfn{kFrames}}};
  ASSERT_TRUE(guest.remove({Gfn{100000}, Gfn{300000}}));
  guest.make_broken(Gfn{400000});
  const FrameSet ram{{Gfn{0}, Gfn{kFrames}}};

  const auto survey = survey_frames(guest, ram, plan_window(ram, 128_MiB)->boot_frames(), {});

  ASSERT_TRUE(survey) << survey.error().what();
  EXPECT_TRUE(survey->full_scan);
  EXPECT_EQ(survey->absent, (FrameSet{{Gfn{100000}, Gfn{300000}}}));
  EXPECT_EQ(survey->broken, (FrameSet{{Gfn{400000}, Gfn{400001}}}));
  EXPECT_EQ(
      survey->ram,
      (FrameSet{{Gfn{0}, Gfn{100000}}, {Gfn{300000}, Gfn{400000}}, {Gfn{400001}, Gfn{kFrames}}}));
}

// Each kind of its own is few enough; the dump could list neither holes nor pieces.
TEST(SurveyFrames, RefusesMoreHolesThanADumpNodeLists) {
  constexpr std::uint64_t kFrames = 2_GiB >> kFrameShift;
  InMemoryGuest guest{{Gfn{0}, Gfn{kFrames}}};
  const FrameSet ram{{Gfn{0}, Gfn{kFrames}}};
  const WindowPlan plan = *plan_window(ram, 128_MiB);
  std::uint64_t gfn = 40000;
  for (unsigned i = 0; i < HADUMP_MAX_RANGES - 1; ++i, gfn += 3)
    ASSERT_TRUE(guest.remove({Gfn{gfn}, Gfn{gfn + 1}}));
  EXPECT_TRUE(survey_frames(guest, ram, plan.boot_frames(), {}));
  ASSERT_TRUE(guest.remove({Gfn{gfn}, Gfn{gfn + 1}}));
  ASSERT_TRUE(guest.remove({Gfn{gfn + 3}, Gfn{gfn + 4}}));
  const auto survey = survey_frames(guest, ram, plan.boot_frames(), {});
  ASSERT_FALSE(survey);
  EXPECT_EQ(survey.error().code(), ErrorCode::kUnsupported);
}

std::vector<std::byte> note(std::uint32_t text_bytes, std::string_view text) {
  std::vector<std::byte> out(sizeof(Elf64_Nhdr) + 12 + round_up(text.size(), 4));
  const Elf64_Nhdr header{11, text_bytes, 0};
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), "VMCOREINFO", 11);
  std::memcpy(out.data() + sizeof(header) + 12, text.data(), text.size());
  return out;
}

TEST(Vmcoreinfo, RefusesNotesThatLie) {
  const std::string text = "OSRELEASE=6.1.0-x";
  EXPECT_TRUE(check_vmcoreinfo_note(note(17, text)));
  EXPECT_FALSE(check_vmcoreinfo_note(note(5000, text)));  // longer than there is
  EXPECT_FALSE(check_vmcoreinfo_note(note(0xffffffff, text)));
  EXPECT_FALSE(check_vmcoreinfo_note(note(3, text)));
  EXPECT_FALSE(check_vmcoreinfo_note(note(17, "OSRELEASX=6.1.0-x")));
  EXPECT_FALSE(check_vmcoreinfo_note({}));
}

TEST(Vmcoreinfo, IsFoundBySearching) {
  InMemoryGuest guest{{Gfn{0}, Gfn{10000}}};
  const FrameSet ram{{Gfn{0}, Gfn{10000}}};
  EXPECT_FALSE(*find_vmcoreinfo(guest, ram));
  ASSERT_TRUE(write_guest(guest, address_of(Gfn{9000}), note(17, "OSRELEASE=6.1.0-x")));
  EXPECT_EQ(*find_vmcoreinfo(guest, ram), GuestPhys{9000 << kFrameShift});
}

// Three ranges, so that the ends meet in one of them; whatever the limit cuts off is in the middle.
TEST(Vmcoreinfo, IsSearchedFromBothEndsUpToALimit) {
  const FrameSet ram{{Gfn{0}, Gfn{6000}}, {Gfn{10000}, Gfn{20000}}, {Gfn{30000}, Gfn{30001}}};
  const std::uint64_t all = ram.bytes();
  const struct {
    std::uint64_t frame;
    std::uint64_t needed;  // bytes searched before it is surely found
  } cases[] = {{0, 4096 * kFrameSize},
               {30000, 4097 * kFrameSize},
               {5999, all / 2 + 4096 * kFrameSize},
               {19999, all / 2 + 4096 * kFrameSize},
               {13000, all}};
  for (const auto& one : cases) {
    InMemoryGuest guest;
    for (FrameRange range : ram.ranges()) guest.add(range);
    ASSERT_TRUE(write_guest(guest, address_of(Gfn{one.frame}), note(17, "OSRELEASE=6.1.0-x")));
    EXPECT_EQ(*find_vmcoreinfo(guest, ram, one.needed), address_of(Gfn{one.frame})) << one.frame;
    EXPECT_EQ(*find_vmcoreinfo(guest, ram, kFrameSize),
              one.frame == 0 ? std::optional(GuestPhys{0}) : std::nullopt);
  }
}

}  // namespace
}  // namespace hadump
