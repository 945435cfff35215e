// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/elf_source.h"
#include "core/vmcore/elf_notes.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <cstring>
#include <numeric>

#include "tests/unit/core/vmcore/elf_builder.h"

namespace hadump {
namespace {

using testing::Each;
using testing::ElementsAre;

struct Batch {
  std::vector<std::byte> bytes;
  std::vector<FrameStatus> status;
  /// The first byte of each frame.
  std::vector<unsigned> fills() const {
    std::vector<unsigned> fills;
    for (std::size_t i = 0; i < status.size(); ++i)
      fills.push_back(std::to_integer<unsigned>(bytes[i * kFrameSize]));
    return fills;
  }
};

Batch read_frames(const VmcoreSource& source, std::uint64_t first, std::size_t count) {
  Batch batch{std::vector<std::byte>(count * kFrameSize, std::byte{0xEE}),
              std::vector<FrameStatus>(count, FrameStatus::kFailed)};
  const auto done = source.read(Gfn{first}, batch.bytes, batch.status);
  EXPECT_TRUE(done) << done.error().what();
  return batch;
}

std::unique_ptr<ElfVmcoreSource> opened(const ElfBuilder& builder) {
  auto source = ElfVmcoreSource::open(builder.file());
  if (!source) {
    ADD_FAILURE() << source.error().what();
    std::abort();
  }
  return std::move(*source);
}

std::string refusal(const ElfBuilder& builder) {
  auto source = ElfVmcoreSource::open(builder.file());
  return source ? "opened" : source.error().what();
}

/// A file whose bytes in [bad_begin, bad_end) give EIO.
class FileWithBadSectors : public ByteFile {
 public:
  FileWithBadSectors(std::vector<std::byte> bytes, std::uint64_t bad_begin, std::uint64_t bad_end)
      : file_(std::move(bytes)), bad_begin_(bad_begin), bad_end_(bad_end) {}
  std::uint64_t size() const override { return file_.size(); }
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override {
    if (offset < bad_end_ && offset + out.size() > bad_begin_) return fail_os(EIO, "reading");
    return file_.read_at(out, offset);
  }
  Result<MemoryMapping> map(std::uint64_t offset, std::size_t bytes) const override {
    return file_.map(offset, bytes);
  }
  const std::string& name() const override { return file_.name(); }

 private:
  MemoryFile file_;
  std::uint64_t bad_begin_, bad_end_;
};

TEST(ElfVmcoreSource, ReadsAcrossSegmentsAndHoles) {
  ElfBuilder elf;
  elf.add_load(0x10000, 2, 1).add_load(0x13000, 1, 9);
  const auto source = opened(elf);

  const Batch batch = read_frames(*source, 0xF, 6);

  using enum FrameStatus;
  EXPECT_THAT(batch.status, ElementsAre(kAbsent, kRead, kRead, kAbsent, kRead, kAbsent));
  EXPECT_THAT(batch.fills(), ElementsAre(0, 1, 2, 0, 9, 0));
  EXPECT_EQ(source->layout().frames, (FrameSet{{Gfn{0x10}, Gfn{0x12}}, {Gfn{0x13}, Gfn{0x14}}}));
}

// Low memory is in the save area: its segment's content follows that of the memory above.
TEST(ElfVmcoreSource, ReadsSegmentsWhoseContentIsInAnyOrder) {
  ElfBuilder elf;
  elf.add_load(0x20000, 1, 2).add_load(0x0, 1, 1);
  const auto source = opened(elf);
  EXPECT_THAT(read_frames(*source, 0, 1).fills(), ElementsAre(1));
  EXPECT_THAT(read_frames(*source, 0x20, 1).fills(), ElementsAre(2));
}

// Linux describes its text twice: as memory and as the kernel's mapping.
TEST(ElfVmcoreSource, AcceptsSegmentsThatOverlap) {
  ElfBuilder elf;
  elf.add_load(0x10000, 4, 1).add_load(0x11000, 2, 2).add_load(0x13000, 3, 4);
  const auto source = opened(elf);
  EXPECT_THAT(read_frames(*source, 0x10, 6).fills(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(ElfVmcoreSource, JoinsTheHalvesOfAFrameThatTwoSegmentsShare) {
  ElfBuilder elf;
  elf.add_load(0x10000, 1, 1).add_load(0x10800, 1, 2);
  elf.program_headers[0].p_filesz = elf.program_headers[0].p_memsz = 0x800;
  elf.program_headers[1].p_filesz = elf.program_headers[1].p_memsz = 0x700;
  const auto source = opened(elf);

  const Batch batch = read_frames(*source, 0x10, 1);

  EXPECT_EQ(batch.status[0], FrameStatus::kRead);
  EXPECT_EQ(batch.bytes[0x7FF], std::byte{1});
  EXPECT_EQ(batch.bytes[0x800], std::byte{2});
  EXPECT_EQ(batch.bytes[0xEFF], std::byte{2});
  EXPECT_EQ(batch.bytes[0xF00], std::byte{0});
}

TEST(ElfVmcoreSource, WhatTheFileLeftOutIsAbsent) {
  ElfBuilder elf;
  elf.add_load(0x10000, 1, 1);
  elf.program_headers[0].p_memsz = 3 * kFrameSize;
  const auto source = opened(elf);
  using enum FrameStatus;
  EXPECT_THAT(read_frames(*source, 0x10, 3).status, ElementsAre(kRead, kAbsent, kAbsent));
  EXPECT_EQ(source->layout().frames.frames(), 3u);
}

TEST(ElfVmcoreSource, WhatATruncatedFileLacksIsFailed) {
  ElfBuilder elf;
  elf.add_load(0x10000, 3, 1);
  std::vector<std::byte> bytes = elf.build();
  bytes.resize(bytes.size() - kFrameSize - 1);
  auto source = ElfVmcoreSource::open(std::make_unique<MemoryFile>(bytes));
  ASSERT_TRUE(source) << source.error().what();

  const Batch batch = read_frames(**source, 0x10, 3);

  using enum FrameStatus;
  EXPECT_THAT(batch.status, ElementsAre(kRead, kFailed, kFailed));
  EXPECT_THAT(batch.fills(), ElementsAre(1, 0, 0));
}

TEST(ElfVmcoreSource, SaysThatAFileWasCutOff) {
  ElfBuilder builder;
  builder.add_load(0x100000, 4, 1).add_load(0x200000, 4, 5);
  std::vector<std::byte> bytes = builder.build();
  const auto whole = ElfVmcoreSource::open(std::make_unique<MemoryFile>(bytes));
  ASSERT_TRUE(whole);
  EXPECT_FALSE((*whole)->layout().incomplete);
  bytes.pop_back();
  const auto cut = ElfVmcoreSource::open(std::make_unique<MemoryFile>(bytes));
  ASSERT_TRUE(cut);
  EXPECT_TRUE((*cut)->layout().incomplete);
}

TEST(ElfVmcoreSource, KnowsWhatIsAbsentAndWhatIsLostAsRanges) {
  ElfBuilder builder;
  builder.add_load(0x100000, 4, 1);
  builder.program_headers[0].p_memsz = 1_GiB;
  builder.add_load(0x80000000, 4, 5);
  builder.program_headers[1].p_filesz = builder.program_headers[1].p_memsz = 1_GiB;
  const auto source = opened(builder);
  constexpr std::uint64_t kFrames = 1_GiB / kFrameSize;
  EXPECT_EQ(source->layout().absent, (FrameSet{{Gfn{0x104}, Gfn{0x100 + kFrames}}}));
  EXPECT_EQ(source->layout().lost, (FrameSet{{Gfn{0x80004}, Gfn{0x80000 + kFrames}}}));
  using enum FrameStatus;
  EXPECT_THAT(read_frames(*source, 0x103, 2).status, ElementsAre(kRead, kAbsent));
  EXPECT_THAT(read_frames(*source, 0x80003, 2).status, ElementsAre(kRead, kFailed));
}

/// `file` with a hole of `bytes` at `at`.
class FileWithHole : public ByteFile {
 public:
  FileWithHole(std::vector<std::byte> file, std::uint64_t at, std::uint64_t bytes)
      : file_(std::move(file)), at_(at), bytes_(bytes) {}
  std::uint64_t size() const override { return file_.size() + bytes_; }
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override {
    const bool is_before = offset + out.size() <= at_;
    if (!is_before && offset < at_ + bytes_) return fail(ErrorCode::kBadData, "in the hole");
    return file_.read_at(out, is_before ? offset : offset - bytes_);
  }
  Result<MemoryMapping> map(std::uint64_t, std::size_t) const override {
    return fail(ErrorCode::kUnsupported, "cannot be mapped");
  }
  const std::string& name() const override { return file_.name(); }

 private:
  MemoryFile file_;
  std::uint64_t at_, bytes_;
};

TEST(ElfVmcoreSource, LeavesOutDumpsOfDevicesForWhichThereIsNoRoom) {
  constexpr std::uint64_t kDevice = 100_MiB;
  std::vector<std::byte> notes = encode_note("CORE", kNotePrstatus, "cpu0");
  std::vector<std::byte> device = encode_note("LINUX", 0x700, "");
  const auto device_bytes = static_cast<std::uint32_t>(kDevice);
  std::memcpy(device.data() + 4, &device_bytes, sizeof(device_bytes));
  notes.insert(notes.end(), device.begin(), device.end());
  const std::size_t hole = notes.size();
  const auto info = encode_note("VMCOREINFO", 0, "OSRELEASE=6.1\n");
  notes.insert(notes.end(), info.begin(), info.end());
  ElfBuilder builder;
  builder.add_load(0x100000, 1, 1).add_notes(notes);
  builder.program_headers[1].p_filesz += kDevice;
  const auto source = ElfVmcoreSource::open(std::make_unique<FileWithHole>(
      builder.build(), builder.program_headers[1].p_offset + hole, kDevice));
  ASSERT_TRUE(source) << source.error().what();
  const VmcoreLayout& layout = (*source)->layout();
  EXPECT_EQ(layout.notes.size(), 2U);
  EXPECT_EQ(vmcoreinfo_text(layout), "OSRELEASE=6.1\n");
  EXPECT_EQ(layout.device_dump_bytes_left_out, kDevice);
}

// gdb's and the kernel's cores of processes leave p_paddr at 0.
TEST(ElfVmcoreSource, RefusesTheCoreOfAProcess) {
  ElfBuilder builder;
  builder.add_load(0, 4, 1).add_load(0, 4, 5);
  EXPECT_THAT(refusal(builder), testing::HasSubstr("the core of a process"));
  ElfBuilder machine;
  machine.add_load(0, 4, 1);
  EXPECT_EQ(refusal(machine), "opened");
  // A process with one piece of memory looks like a machine, but for what its kernel had told it.
  machine.add_notes(encode_note("CORE", NT_AUXV, std::string(16, '\0')));
  EXPECT_THAT(refusal(machine), testing::HasSubstr("the core of a process"));
}

TEST(ElfVmcoreSource, NamesTheMachineThatItCannotRead) {
  ElfBuilder builder;
  builder.add_load(0x100000, 4, 1);
  builder.header.e_machine = EM_AARCH64;
  EXPECT_THAT(refusal(builder), testing::HasSubstr("x86-64 machine: aarch64"));
  builder.header.e_ident[EI_DATA] = ELFDATA2MSB;
  EXPECT_THAT(refusal(builder), testing::HasSubstr("big-endian"));
}

TEST(ElfVmcoreSource, ABadSectorLosesItsFrameOnly) {
  ElfBuilder elf;
  elf.add_load(0x10000, 4, 1);
  const std::uint64_t bad = elf.program_headers[0].p_offset + kFrameSize + 17;
  auto source =
      ElfVmcoreSource::open(std::make_unique<FileWithBadSectors>(elf.build(), bad, bad + 1));
  ASSERT_TRUE(source);
  using enum FrameStatus;
  EXPECT_THAT(read_frames(**source, 0x10, 4).status, ElementsAre(kRead, kFailed, kRead, kRead));
}

TEST(ElfVmcoreSource, MapsAPrefixAndSaysWhatIsAbsent) {
  ElfBuilder elf;
  elf.add_load(0x10000, 2, 1);
  const auto source = opened(elf);

  auto view = source->map({Gfn{0x10}, Gfn{0x20}});
  ASSERT_TRUE(view) << view.error().what();
  EXPECT_EQ(view->range(), (FrameRange{Gfn{0x10}, Gfn{0x12}}));
  EXPECT_EQ(view->bytes()[kFrameSize], std::byte{2});

  auto hole = source->map({Gfn{0x12}, Gfn{0x20}});
  ASSERT_FALSE(hole);
  EXPECT_EQ(hole.error().code(), ErrorCode::kNotFound);
}

TEST(ElfVmcoreSource, KeepsNotesByKind) {
  ElfBuilder elf;
  std::vector<std::byte> notes = encode_note("CORE", kNotePrstatus, "cpu0");
  const auto info = encode_note("VMCOREINFO", 0, "OSRELEASE=6.1\n");
  notes.insert(notes.end(), info.begin(), info.end());
  elf.add_notes(notes).add_load(0, 1, 1);
  const auto source = opened(elf);
  ASSERT_EQ(cpu_notes(source->layout()).size(), 1u);
  EXPECT_EQ(cpu_notes(source->layout())[0]->desc.size(), 4u);
  EXPECT_EQ(vmcoreinfo_text(source->layout()), "OSRELEASE=6.1\n");
}

TEST(ElfVmcoreSource, RefusesHeadersThatContradictThemselves) {
  const auto refused = [](auto&& damage) {
    ElfBuilder elf;
    elf.add_notes(encode_note("CORE", 1, "x")).add_load(0x1000, 1, 1);
    damage(elf);
    return refusal(elf);
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused([](ElfBuilder& e) { e.header.e_ident[0] = 'X'; }),
              HasSubstr("neither an ELF core nor a kdump-compressed dump"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.header.e_machine = EM_386; }), HasSubstr("x86-64"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.header.e_phentsize = 1; }), HasSubstr("of 1 bytes"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.header.e_phoff = ~0ull; }), HasSubstr("past the end"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.header.e_phnum = 0xFFFE; }),
              HasSubstr("65534 program headers at 0x40 are past the end"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.program_headers[1].p_memsz = ~0ull; }),
              HasSubstr("past the end of physical memory"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.program_headers[1].p_offset = ~0ull - 5; }),
              HasSubstr("wraps around"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.program_headers[0].p_filesz = 1ull << 40; }),
              HasSubstr("notes of 1099511627776 bytes"));
  EXPECT_THAT(refused([](ElfBuilder& e) { e.program_headers[0].p_offset = 1ull << 40; }),
              HasSubstr("at 0x10000000000 are past the end"));
}

TEST(ParseNotes, RefusesSizesThatLeadPastTheEnd) {
  auto bytes = encode_note("CORE", 1, "abcd");
  for (const std::size_t field : {0u, 4u}) {
    auto bad = bytes;
    for (std::size_t i = 0; i < 4; ++i) bad[field + i] = std::byte{0xFF};
    const auto notes = parse_notes(bad);
    ASSERT_FALSE(notes);
    EXPECT_EQ(notes.error().code(), ErrorCode::kBadData);
  }
}

// Linux leaves 24 KiB per CPU for a note and fills only its beginning.
TEST(ParseNotes, EndsAtTheZeroNote) {
  auto bytes = encode_note("CORE", 1, "abcd");
  bytes.resize(bytes.size() + 64);
  const auto notes = parse_notes(bytes);
  ASSERT_TRUE(notes);
  EXPECT_EQ(notes->size(), 1u);
}

}  // namespace
}  // namespace hadump
