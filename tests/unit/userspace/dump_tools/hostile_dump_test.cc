// SPDX-License-Identifier: GPL-2.0-or-later
// Small files that claim very much. What each command then does is counted: frames that are looked
// at, bytes that are written. Neither may be out of proportion to the file.
#include <gmock/gmock.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <sstream>

#include "core/base/endian.h"
#include "core/dump/dump_writer.h"
#include "core/save/dump_contents.h"
#include "core/vmcore/open.h"
#include "tests/unit/core/vmcore/elf_builder.h"
#include "tests/unit/core/vmcore/kdump_builder.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/dump_tools/command_estimate.h"
#include "userspace/dump_tools/command_info.h"
#include "userspace/dump_tools/command_verify.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using Image = std::vector<std::byte>;

/// Counts the frames that are looked at.
class CountingVmcore : public VmcoreSource {
 public:
  explicit CountingVmcore(std::unique_ptr<VmcoreSource> inner) : inner_(std::move(inner)) {}
  const VmcoreLayout& layout() const override { return inner_->layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    frames += status.size();
    return inner_->read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override {
    frames += range.frames();
    return inner_->map(range);
  }
  mutable std::atomic<std::uint64_t> frames = 0;

 private:
  std::unique_ptr<VmcoreSource> inner_;
};

/// Counts the bytes that are written.
class CountingSink : public DumpSink {
 public:
  CountingSink(std::uint64_t& bytes, bool can_rewrite) : bytes_(bytes), can_rewrite_(can_rewrite) {}
  bool can_rewrite() const override { return can_rewrite_; }
  Result<> write_data(std::uint64_t, std::span<const std::byte> bytes) override {
    bytes_ += bytes.size();
    return {};
  }
  Result<> write_table(std::uint64_t, std::span<const std::byte> bytes) override {
    bytes_ += bytes.size();
    return {};
  }
  Result<> make_durable() override {
    return can_rewrite_ ? Result<>() : fail(ErrorCode::kUnsupported, "a pipe");
  }
  Result<> publish(std::uint64_t) override { return {}; }
  std::string location() const override { return "nowhere"; }

 private:
  std::uint64_t& bytes_;
  bool can_rewrite_;
};

/// A file of which all but the beginning is a hole.
class SparseFile : public MemoryFile {
 public:
  SparseFile(Image begin, std::uint64_t size)
      : MemoryFile(begin), begin_(std::move(begin)), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override {
    bytes_read += out.size();
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = offset + i < begin_.size() ? begin_[offset + i] : std::byte{0};
    return {};
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    return offset < begin_.size() ? offset : std::max(offset, size_);
  }
  static inline std::uint64_t bytes_read = 0;

 private:
  Image begin_;
  std::uint64_t size_;
};

class StillClock : public Clock {
 public:
  std::chrono::milliseconds now() const override { return std::chrono::milliseconds(0); }
};

struct Work {
  std::string refusal;  ///< Empty when the dump was opened.
  bool incomplete = false;
  std::uint64_t frames = 0;  ///< Most of any command.
  std::uint64_t bytes = 0;   ///< Most of any conversion.
};

using Open = std::function<Result<std::unique_ptr<VmcoreSource>>()>;

void convert(const CountingVmcore& source, const char* format, bool can_rewrite, Work& work) {
  DumpOptions options;
  options.format = find_output_format(format);
  options.workers = 1;
  std::uint64_t bytes = 0;
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(std::make_unique<CountingSink>(bytes, can_rewrite));
  const FrameSet& frames = source.layout().frames;
  auto writer = DumpWriter::create(source, nullptr, frames, options, std::move(sinks));
  for (FrameSet portion; writer && !(portion = (*writer)->next_portion(256_MiB)).empty();) {
    ASSERT_TRUE((*writer)->write_portion(portion));
    static_cast<void>((*writer)->make_durable());
  }
  if (!writer) return;
  EXPECT_TRUE((*writer)->finish());
  work.bytes = std::max(work.bytes, bytes);
}

/// What all commands together take it for, and what the costliest of them costs.
Work examine(const Open& open) {
  Work work;
  const auto with_source = [&](auto command) {
    auto opened = open();
    if (!opened) {
      work.refusal = opened.error().what();
      return;
    }
    work.incomplete = (*opened)->layout().incomplete;
    const CountingVmcore source(std::move(*opened));
    command(source);
    work.frames = std::max(work.frames, source.frames.load());
  };
  std::ostringstream out;
  const CommandCall call{"release-region", {}, {out, out, false}};
  with_source([&](const CountingVmcore& source) { run_info({}, source, call.io); });
  with_source([&](const CountingVmcore& source) { run_verify(source, {}, {}, call); });
  with_source([&](const CountingVmcore& source) {
    EstimateOptions options;
    options.codec = {};
    run_estimate(options, source, StillClock(), call);
  });
  for (const char* format : {"kdump", "elf", "xen"})
    with_source([&](const CountingVmcore& source) { convert(source, format, true, work); });
  with_source([&](const CountingVmcore& source) { convert(source, "flattened", false, work); });
  return work;
}

Open open_images(std::vector<Image> images) {
  return [images = std::move(images)] {
    std::vector<std::unique_ptr<ByteFile>> files;
    for (const Image& image : images) files.push_back(std::make_unique<MemoryFile>(image));
    return open_vmcore(std::move(files));
  };
}

Work examine(const Image& image) {
  return examine(open_images({image}));
}

// estimate looks at so many frames of any dump.
constexpr std::uint64_t kSampledFrames = 40'000;

/// The first bytes are what the report was about: one page, and 2 PiB.
Image elf_claiming(std::uint64_t file_bytes, std::uint64_t memory_bytes) {
  ElfBuilder elf;
  elf.add_load(0x100000, 1, 1);
  elf.program_headers[0].p_filesz = file_bytes;
  elf.program_headers[0].p_memsz = memory_bytes;
  return elf.build();
}

TEST(HostileElf, ThatClaimsMoreMemoryThanItsSizeCanDescribeIsRefused) {
  constexpr std::uint64_t kClaim = std::uint64_t{1} << 51;
  EXPECT_THAT(examine(elf_claiming(kClaim, kClaim)).refusal,
              HasSubstr("2048 TiB of memory in a file of"));
  EXPECT_THAT(examine(elf_claiming(kFrameSize, kClaim)).refusal, HasSubstr("it is damaged"));
}

TEST(HostileElf, WhoseContentsAreNotThereIsIncompleteAndCostsNothing) {
  const Work work = examine(elf_claiming(60_GiB, 60_GiB));
  EXPECT_EQ(work.refusal, "");
  EXPECT_TRUE(work.incomplete);
  EXPECT_LE(work.frames, kSampledFrames);
  EXPECT_LE(work.bytes, 16_MiB);
}

TEST(HostileElf, OfHolesIsCompleteAndCostsNothing) {
  const Work work = examine(elf_claiming(kFrameSize, 60_GiB));
  EXPECT_EQ(work.refusal, "");
  EXPECT_FALSE(work.incomplete);
  EXPECT_LE(work.frames, kSampledFrames);
  EXPECT_LE(work.bytes, 16_MiB);
}

TEST(HostileElf, WhoseSegmentsShareTheirContentsIsRefused) {
  ElfBuilder elf;
  elf.add_load(0x100000, 16, 1);
  for (std::uint64_t i = 1; i < 32; ++i) {
    elf.program_headers.push_back(elf.program_headers[0]);
    elf.program_headers.back().p_paddr += i * 1_MiB;
  }
  EXPECT_THAT(examine(elf.build()).refusal, HasSubstr("share"));
}

TEST(HostileElf, WhoseNotesAreReadAgainAndAgainIsRefused) {
  ElfBuilder elf;
  elf.add_notes(encode_note("CORE", 0, std::string(20'000, 'x'))).add_load(0x100000, 1, 1);
  for (unsigned i = 0; i < 32; ++i) elf.program_headers.push_back(elf.program_headers[0]);
  EXPECT_THAT(examine(elf.build()).refusal, HasSubstr("notes of"));
}

TEST(HostileElf, WithAPageFarUpCostsNoTables) {
  ElfBuilder elf;
  elf.add_load(0x100000, 1, 1).add_load((std::uint64_t{1} << 52) - kFrameSize, 1, 2);
  const Work work = examine(elf.build());
  EXPECT_EQ(work.refusal, "");
  EXPECT_LE(work.frames, kSampledFrames);
  EXPECT_LE(work.bytes, 2_MiB);
}

/// All bits set, and nothing after them.
KdumpBuilder kdump_of(std::uint64_t frames) {
  KdumpBuilder dump(frames);
  dump.add_descriptor(0, {});
  return dump;
}

constexpr std::uint64_t kValid = 2 * kFrameSize;

Image with_bits(std::uint64_t frames, std::byte valid, std::byte dumped) {
  Image image = kdump_of(frames).build();
  std::memset(image.data() + kValid, std::to_integer<int>(valid), frames / 8);
  std::memset(image.data() + kValid + frames / 8, std::to_integer<int>(dumped), frames / 8);
  return image;
}

TEST(HostileKdump, WithoutDescriptorsIsLostAndCostsNothing) {
  const Image image = with_bits(1 << 22, std::byte{0xff}, std::byte{0xff});
  const Work work = examine(image);
  EXPECT_EQ(work.refusal, "");
  EXPECT_TRUE(work.incomplete);
  EXPECT_LE(work.frames, kSampledFrames);
  EXPECT_LE(work.bytes, 8 * image.size());
}

TEST(HostileKdump, WithoutPagesCostsNothing) {
  const Image image = with_bits(1 << 22, std::byte{0xff}, std::byte{0});
  const Work work = examine(image);
  EXPECT_EQ(work.refusal, "");
  EXPECT_LE(work.frames, kSampledFrames);
  EXPECT_LE(work.bytes, 8 * image.size());
}

TEST(HostileKdump, InMorePiecesThanItsSizeAllowsIsRefused) {
  EXPECT_THAT(examine(with_bits(1 << 19, std::byte{0x55}, std::byte{0x55})).refusal,
              HasSubstr("ranges"));
}

TEST(HostileKdump, WhoseDescriptorsPointAtTheSameDataCostsWhatItsDescriptorsAllow) {
  KdumpBuilder dump(4096);
  for (std::uint64_t pfn = 0; pfn < 4096; ++pfn) dump.add_descriptor(pfn, {kFrameSize, 4096, 0, 0});
  const Image image = dump.build();
  const Work work = examine(image);
  EXPECT_EQ(work.refusal, "");
  EXPECT_LE(work.frames, kSampledFrames);
  EXPECT_LE(work.bytes, 4096 * (kFrameSize + sizeof(KdumpPageDesc)) + 1_MiB);
}

TEST(HostileKdump, WithAbsurdHeadersIsRefused) {
  const auto refusal = [](auto&& damage) {
    KdumpBuilder dump = kdump_of(32768);
    Image image = dump.build();
    damage(dump);
    std::memcpy(image.data(), &dump.header, sizeof(dump.header));
    std::memcpy(image.data() + kFrameSize, &dump.sub_header, sizeof(dump.sub_header));
    return examine(image).refusal;
  };
  EXPECT_NE(refusal([](KdumpBuilder& d) { d.sub_header.max_mapnr_64 = 1ull << 40; }), "");
  EXPECT_NE(refusal([](KdumpBuilder& d) { d.header.bitmap_blocks = 0xffffffff; }), "");
  EXPECT_NE(refusal([](KdumpBuilder& d) { d.header.sub_header_blocks = 0x7fffffff; }), "");
  EXPECT_NE(refusal([](KdumpBuilder& d) {
              d.sub_header.note_offset = kFrameSize;
              d.sub_header.note_size = 1ull << 40;
            }),
            "");
  EXPECT_EQ(refusal([](KdumpBuilder&) {}), "");
}

// Both bitmaps of 128 GiB are holes but for their first blocks.
TEST(HostileKdump, WithBitmapsOfNothingIsReadWhereThereIsSomething) {
  KdumpBuilder dump(std::uint64_t{1} << 40);
  const std::uint64_t bitmap = (std::uint64_t{1} << 40) / 8;
  dump.header.bitmap_blocks = static_cast<std::uint32_t>(2 * bitmap / kFrameSize);
  Image image(3 * kFrameSize);
  std::memcpy(image.data(), &dump.header, sizeof(dump.header));
  std::memcpy(image.data() + kFrameSize, &dump.sub_header, sizeof(dump.sub_header));
  image[kValid] = std::byte{0xff};
  SparseFile::bytes_read = 0;
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<SparseFile>(image, 3 * kFrameSize + 2 * bitmap));
  const auto source = open_vmcore(std::move(files));
  ASSERT_TRUE(source) << source.error().what();
  EXPECT_EQ((*source)->layout().frames, FrameSet({{Gfn{0}, Gfn{8}}}));
  DumpFiles again;
  again.push_back(std::make_unique<SparseFile>(image, 3 * kFrameSize + 2 * bitmap));
  EXPECT_TRUE(check_kdump_tables(again, **source, {}));
  EXPECT_LE(SparseFile::bytes_read, 1_MiB);
}

// The frames of the parts that are not here are lost, however many there are.
TEST(HostileKdump, OfWhichPartsAreMissingCostsNothing) {
  KdumpBuilder dump(1 << 22);
  dump.sub_header.split = 1;
  dump.sub_header.end_pfn_64 = 8;
  dump.add_page(1, 1);
  Image image = dump.build();
  std::memset(image.data() + kValid, 0xff, (1 << 22) / 8);
  const Work work = examine(image);
  EXPECT_EQ(work.refusal, "");
  EXPECT_TRUE(work.incomplete);
  EXPECT_LE(work.frames, kSampledFrames);
}

/// Records of one byte each, `step` bytes apart, of a file that begins like `start`.
Image tiny_records(const Image& start, std::uint64_t step, std::uint64_t count) {
  Image flat = flatten(start, 4096);
  flat.resize(flat.size() - 16);
  const auto put = [&](std::uint64_t offset, std::uint64_t bytes) {
    for (const be64 word : {be64(offset), be64(bytes)}) {
      const auto raw = std::as_bytes(std::span(&word, 1));
      flat.insert(flat.end(), raw.begin(), raw.end());
    }
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    put(start.size() + i * step, 1);
    flat.push_back(std::byte{1});
  }
  put(~std::uint64_t{0}, ~std::uint64_t{0});
  return flat;
}

TEST(HostileFlattened, InManyTinyPiecesIsRefused) {
  EXPECT_THAT(examine(tiny_records(elf_claiming(kFrameSize, kFrameSize), 2, 20'000)).refusal,
              HasSubstr("pieces"));
}

TEST(HostileFlattened, WithAFarRecordIsRefused) {
  EXPECT_THAT(
      examine(tiny_records(elf_claiming(60_GiB, 60_GiB), std::uint64_t{1} << 50, 2)).refusal,
      HasSubstr("records for a file of"));
}

TEST(HostileFlattened, OfZerosCostsWhatTheFileMayGrowTo) {
  const Image image = tiny_records(elf_claiming(32_MiB, 32_MiB), 40_MiB, 2);
  const Work work = examine(image);
  EXPECT_EQ(work.refusal, "");
  EXPECT_FALSE(work.incomplete);
  EXPECT_LE(work.frames, kSampledFrames + 32_MiB / kFrameSize);
  EXPECT_LE(work.bytes, 16_MiB);
}

}  // namespace
}  // namespace hadump
