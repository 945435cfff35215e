// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/kdump_source.h"

#include <gmock/gmock.h>

#include <cstring>

#include "core/vmcore/flattened_file.h"
#include "core/vmcore/open.h"
#include "tests/unit/core/vmcore/elf_builder.h"
#include "tests/unit/core/vmcore/kdump_builder.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Files = std::vector<std::vector<std::byte>>;

Result<std::unique_ptr<VmcoreSource>> open_files(const Files& contents) {
  std::vector<std::unique_ptr<ByteFile>> files;
  for (const auto& content : contents) files.push_back(std::make_unique<MemoryFile>(content));
  return open_vmcore(std::move(files));
}

std::unique_ptr<VmcoreSource> opened(const Files& contents) {
  auto source = open_files(contents);
  if (!source) {
    ADD_FAILURE() << source.error().what();
    std::abort();
  }
  return std::move(*source);
}

/// "1 2 - x": the fill of each frame, - where it is absent, x where it failed.
std::string fills(const VmcoreSource& source, std::uint64_t first, std::size_t count) {
  std::vector<std::byte> bytes(count * kFrameSize);
  std::vector<FrameStatus> status(count);
  EXPECT_TRUE(source.read(Gfn{first}, bytes, status));
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte fill = bytes[i * kFrameSize];
    for (std::size_t k = 0; k < kFrameSize; ++k) EXPECT_EQ(bytes[i * kFrameSize + k], fill);
    text += (i > 0 ? " " : "") + (status[i] == FrameStatus::kRead
                                      ? std::to_string(std::to_integer<unsigned>(fill))
                                      : std::string(status[i] == FrameStatus::kAbsent ? "-" : "x"));
  }
  return text;
}

KdumpBuilder small_dump() {
  KdumpBuilder dump(100);
  dump.add_page(10, 1).add_page(11, 2, kKdumpZlib).add_page(12, 3, kKdumpLzo);
  dump.add_page(13, 4, kKdumpSnappy).add_page(14, 5, kKdumpZstd).add_left_out(15);
  dump.add_page(99, 6);
  return dump;
}

TEST(KdumpVmcoreSource, ReadsEveryCodec) {
  const auto source = opened({small_dump().build()});
  EXPECT_EQ(fills(*source, 9, 8), "- 1 2 3 4 5 - -");
  EXPECT_EQ(fills(*source, 99, 2), "6 -");
  EXPECT_EQ(source->layout().frames, (FrameSet{{Gfn{10}, Gfn{16}}, {Gfn{99}, Gfn{100}}}));
  EXPECT_FALSE(source->layout().incomplete);
}

// The number of a descriptor is counted over blocks of 32,768 frames.
TEST(KdumpVmcoreSource, CountsDescriptorsAcrossBitmapBlocks) {
  KdumpBuilder dump(100000);
  dump.add_page(5, 1).add_page(32767, 2).add_page(32768, 3).add_page(65600, 4).add_page(99999, 5);
  const auto source = opened({dump.build()});
  EXPECT_EQ(fills(*source, 32767, 3), "2 3 -");
  EXPECT_EQ(fills(*source, 65600, 1), "4");
  EXPECT_EQ(fills(*source, 99999, 1), "5");
}

TEST(KdumpVmcoreSource, LostAndDamagedPagesFail) {
  KdumpBuilder dump(10);
  dump.add_page(0, 1).add_descriptor(1, {}).add_descriptor(2, {~std::uint64_t{0}, 100, 1, 0});
  dump.add_descriptor(3, {4096, 1 << 30, 1, 0}).add_descriptor(4, {4096, 100, kKdumpZlib, 0});
  dump.add_descriptor(5, {4096, 100, kKdumpLzo, 0}).add_descriptor(6, {4096, 64, kKdumpSnappy, 0});
  dump.add_descriptor(7, {4096, 64, kKdumpZstd, 0}).add_descriptor(8, {4096, 4095, 0, 0});
  dump.add_descriptor(9, {4096, 64, kKdumpZlib | kKdumpLzo, 0});
  EXPECT_EQ(fills(*opened({dump.build()}), 0, 10), "1 x x x x x x x x x");
}

TEST(KdumpVmcoreSource, JoinsThePartsOfASplitDump) {
  Files parts;
  for (const std::uint64_t begin : {0u, 12u}) {
    KdumpBuilder part = small_dump();
    part.sub_header.split = 1;
    part.sub_header.start_pfn_64 = begin;
    part.sub_header.end_pfn_64 = begin == 0 ? 12 : 100;
    parts.push_back(part.build());
  }
  EXPECT_EQ(fills(*opened({parts[1], parts[0]}), 9, 7), "- 1 2 3 4 5 -");
  EXPECT_FALSE(opened(parts)->layout().incomplete);

  const auto half = opened({parts[1]});
  EXPECT_EQ(fills(*half, 9, 7), "- x x 3 4 5 -");
  EXPECT_TRUE(half->layout().incomplete);

  EXPECT_THAT(open_files({parts[0], parts[0]}).error().what(), HasSubstr("overlaps"));
}

TEST(KdumpVmcoreSource, TakesNotesAndTheIncompleteMark) {
  KdumpBuilder dump = small_dump();
  dump.set_notes(encode_note("VMCOREINFO", 0, "OSRELEASE=6.1\n"));
  dump.header.status |= kKdumpIncomplete;
  const auto source = opened({dump.build()});
  EXPECT_EQ(vmcoreinfo_text(source->layout()), "OSRELEASE=6.1\n");
  EXPECT_TRUE(source->layout().incomplete);
}

TEST(KdumpVmcoreSource, RefusesTablesThatCannotBe) {
  const auto refused = [](auto&& damage) {
    KdumpBuilder dump = small_dump();
    damage(dump);
    auto source = open_files({dump.build()});
    return source ? std::string("opened") : source.error().what();
  };
  EXPECT_THAT(refused([](KdumpBuilder& d) { d.header.block_size = 65536; }), HasSubstr("65536"));
  EXPECT_THAT(refused([](KdumpBuilder& d) { d.header.version = 99; }), HasSubstr("version 99"));
  EXPECT_THAT(refused([](KdumpBuilder& d) { d.header.sub_header_blocks = -1; }),
              HasSubstr("0 sub header blocks"));
  EXPECT_THAT(refused([](KdumpBuilder& d) { d.sub_header.max_mapnr_64 = ~0ull; }),
              HasSubstr("bitmap blocks for"));
  EXPECT_THAT(refused([](KdumpBuilder& d) { d.header.sub_header_blocks = 9000; }),
              HasSubstr("bitmaps are past the end"));
  EXPECT_THAT(refused([](KdumpBuilder& d) { d.sub_header.note_size = ~0ull; }),
              HasSubstr("notes of"));
}

TEST(KdumpVmcoreSource, SaysWhatTheHeaderSays) {
  KdumpBuilder dump = small_dump();
  std::strcpy(dump.header.utsname.nodename.data(), "db1");
  std::strcpy(dump.header.utsname.release.data(), "6.1.0\x01");
  dump.header.seconds = 1735689600;
  dump.sub_header.phys_base = 0xfffffffff1000000;
  dump.sub_header.dump_level = 31;
  dump.set_notes(encode_note("CORE", 1, "registers, and what was erased"));
  dump.sub_header.erase_info_offset = dump.sub_header.note_offset + 20;
  dump.sub_header.erase_info_size = 9;
  const auto source = opened({dump.build()});
  const HeaderFacts& facts = source->layout().header;
  EXPECT_EQ(facts.nodename, "db1");
  EXPECT_EQ(facts.release, "6.1.0?");
  EXPECT_EQ(facts.crash_time_s, 1735689600U);
  EXPECT_EQ(facts.phys_base, 0xfffffffff1000000U);
  EXPECT_EQ(facts.dump_level, 31U);
  const ElfNote& erased = source->layout().notes.back();
  EXPECT_EQ(erased.name, "ERASEINFO");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(erased.desc.data()), erased.desc.size()),
            "registers");
}

TEST(KdumpVmcoreSource, KnowsWhatIsInTheDump) {
  KdumpBuilder dump(100000);
  dump.add_page(10, 1).add_left_out(11).add_page(12, 3).add_left_out(70000).add_page(99999, 5);
  const auto source = opened({dump.build()});
  EXPECT_EQ(*source->present_in({Gfn{0}, Gfn{100000}}),
            (FrameSet{{Gfn{10}, Gfn{11}}, {Gfn{12}, Gfn{13}}, {Gfn{99999}, Gfn{100000}}}));
  EXPECT_EQ(*source->present_in({Gfn{11}, Gfn{99999}}), (FrameSet{{Gfn{12}, Gfn{13}}}));
  // Nothing of the block around frame 70000 is in it.
  EXPECT_EQ(source->layout().absent, (FrameSet{{Gfn{70000}, Gfn{70001}}}));
}

TEST(KdumpVmcoreSource, WhoseTableIsCutOffHasLostTheRestOfItsFrames) {
  KdumpBuilder dump(100000);
  dump.add_page(10, 1).add_page(40000, 2).add_page(40002, 3).add_page(99999, 4);
  auto image = dump.build();
  image.resize(image.size() - 4 * kFrameSize - 3 * sizeof(KdumpPageDesc));
  const auto source = opened({image});
  EXPECT_TRUE(source->layout().incomplete);
  EXPECT_EQ(
      source->layout().lost,
      (FrameSet{{Gfn{40000}, Gfn{40001}}, {Gfn{40002}, Gfn{40003}}, {Gfn{99999}, Gfn{100000}}}));
  EXPECT_EQ(fills(*source, 40000, 3), "x - x");
}

// A transfer that broke off leaves a file whose headers know nothing of it.
TEST(KdumpVmcoreSource, SaysThatAFileWasCutOff) {
  const std::vector<std::byte> whole = small_dump().build();
  EXPECT_FALSE(opened({whole})->layout().incomplete);
  for (std::size_t missing : {std::size_t{1}, std::size_t{kFrameSize}, std::size_t{4200}}) {
    std::vector<std::byte> cut = whole;
    cut.resize(cut.size() - missing);
    EXPECT_TRUE(opened({cut})->layout().incomplete) << missing;
  }
}

TEST(KdumpVmcoreSource, NamesTheMachineThatItCannotRead) {
  KdumpBuilder dump = small_dump();
  dump.header.utsname.machine = {'a', 'a', 'r', 'c', 'h', '6', '4'};
  auto source = open_files({dump.build()});
  ASSERT_FALSE(source);
  EXPECT_THAT(source.error().what(), HasSubstr("not a dump of an x86-64 machine: aarch64"));
  dump.header.utsname.machine = {'x', '8', '6', '_', '6', '4'};
  EXPECT_TRUE(open_files({dump.build()}));
  dump.header.version = 6 << 24;
  source = open_files({dump.build()});
  ASSERT_FALSE(source);
  EXPECT_THAT(source.error().what(), HasSubstr("big-endian"));
}

TEST(FlattenedFile, IsPutTogether) {
  for (const std::size_t record : {100u, 4096u, 1000000u})
    EXPECT_EQ(fills(*opened({flatten(small_dump().build(), record)}), 9, 8), "- 1 2 3 4 5 - -")
        << record;
}

TEST(FlattenedFile, LaterRecordsWin) {
  std::vector<std::byte> flat = flatten(std::vector<std::byte>(100, std::byte{1}), 100);
  const std::vector<std::byte> second = flatten(std::vector<std::byte>(30, std::byte{2}), 30);
  flat.resize(flat.size() - 16);  // without the end
  flat.insert(flat.end(), second.begin() + 4096, second.end());
  auto file = FlattenedFile::open(std::make_unique<MemoryFile>(flat));
  ASSERT_TRUE(file);
  std::array<std::byte, 100> bytes{};
  ASSERT_TRUE((*file)->read_at(bytes, 0));
  EXPECT_EQ(bytes[29], std::byte{2});
  EXPECT_EQ(bytes[30], std::byte{1});
  EXPECT_EQ((*file)->size(), 100u);
  EXPECT_FALSE((*file)->is_truncated());
}

// What a broken pipe leaves is readable as far as it goes, and known to be no more.
TEST(FlattenedFile, ATruncatedOneGivesWhatItHas) {
  std::vector<std::byte> flat = flatten(small_dump().build(), 1 << 20);
  flat.resize(flat.size() - 16 - kFrameSize / 2);
  const auto source = opened({flat});
  EXPECT_EQ(fills(*source, 9, 7), "- 1 2 3 4 5 -");
  EXPECT_EQ(fills(*source, 99, 1), "x");
  EXPECT_TRUE(source->layout().incomplete);
}

TEST(FlattenedFile, RefusesRecordsThatWrapAround) {
  std::vector<std::byte> flat = flatten(std::vector<std::byte>(8, std::byte{1}), 8);
  for (std::size_t i = 0; i < 7; ++i) flat[4096 + 1 + i] = std::byte{0xFF};
  flat[4096] = std::byte{0x7F};
  EXPECT_THAT(open_files({flat}).error().what(), HasSubstr("a record of"));
}

TEST(OpenVmcore, NamesWhatItDoesNotKnow) {
  const auto source = open_files({std::vector<std::byte>(100)});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code(), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace hadump
