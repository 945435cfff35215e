// SPDX-License-Identifier: GPL-2.0-or-later
// verify and info on dumps in memory, whole and damaged.
#include <gmock/gmock.h>

#include <cstring>
#include <sstream>

#include "core/dump/dump_writer.h"
#include "core/vmcore/kdump_layout.h"
#include "core/vmcore/open.h"
#include "tests/fakes/in_memory_vmcore.h"
#include "tests/unit/core/dump/memory_sink.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/dump_tools/command_info.h"
#include "userspace/dump_tools/command_verify.h"
#include "userspace/dump_tools/extent_set.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ExtentSet, TakesEveryByteOnce) {
  ExtentSet extents;
  EXPECT_TRUE(extents.take(10, 20));
  EXPECT_TRUE(extents.take(30, 40));
  const std::pair<std::uint64_t, std::uint64_t> taken[] = {
      {10, 20}, {5, 11}, {19, 21}, {12, 13}, {5, 50}};
  for (const auto& [begin, end] : taken) EXPECT_FALSE(extents.take(begin, end)) << begin;
  EXPECT_EQ(extents.entries(), 2U);
  EXPECT_TRUE(extents.take(20, 30));
  EXPECT_EQ(extents.entries(), 1U);
  EXPECT_TRUE(extents.take(40, 41));
  EXPECT_TRUE(extents.take(9, 10));
  EXPECT_EQ(extents.entries(), 1U);
}

using Images = std::vector<std::vector<std::byte>>;

// 1024 frames with a hole; one in four is zero, the others all differ.
class Memory : public InMemoryVmcore {
 public:
  Memory();
};

Memory::Memory() : InMemoryVmcore({{Gfn{0}, Gfn{500}}, {Gfn{600}, Gfn{1024}}}) {
  for (std::uint64_t i = 0; i < 1024; ++i) {
    const std::uint64_t values[2] = {i, ~i};
    if (i % 4 != 0 && (i < 500 || i >= 600))
      put(address_of(Gfn{i}), std::as_bytes(std::span(values)));
  }
}

Images write_dump(std::size_t files) {
  const Memory memory;
  DumpOptions options;
  options.codec = {};
  options.workers = 1;
  std::vector<std::shared_ptr<SinkLog>> logs;
  std::vector<std::unique_ptr<DumpSink>> sinks;
  for (std::size_t i = 0; i < files; ++i) {
    logs.push_back(std::make_shared<SinkLog>());
    sinks.push_back(std::make_unique<MemorySink>(logs.back()));
  }
  auto writer =
      DumpWriter::create(memory, nullptr, memory.layout().frames, options, std::move(sinks));
  EXPECT_TRUE(writer);
  EXPECT_TRUE((*writer)->write_portion(memory.layout().frames));
  EXPECT_TRUE((*writer)->finish());
  Images images;
  for (const auto& log : logs) images.push_back(log->image());
  return images;
}

struct Verdict {
  int exit_code = 0;
  std::string text;
};

Verdict verify(const Images& images) {
  DumpFiles files, again;
  for (const auto& image : images) {
    files.push_back(std::make_unique<MemoryFile>(image));
    again.push_back(std::make_unique<MemoryFile>(image));
  }
  const auto source = open_vmcore(std::move(files));
  EXPECT_TRUE(source) << source.error().what();
  std::ostringstream out;
  const int code = run_verify(**source, again, {}, {"release-region", {}, {out, out, false}});
  return {code, out.str()};
}

// Without notes: header, sub header, then two bitmaps of one block each, then the descriptors.
constexpr std::size_t kBitmapAt = 2 * kFrameSize;
constexpr std::size_t kDumped = 3 * kFrameSize;
constexpr std::size_t kDescs = 4 * kFrameSize;

KdumpPageDesc desc_at(const std::vector<std::byte>& image, std::size_t rank) {
  KdumpPageDesc desc;
  std::memcpy(&desc, image.data() + kDescs + rank * sizeof(desc), sizeof(desc));
  return desc;
}

void set_desc(std::vector<std::byte>& image, std::size_t rank, const KdumpPageDesc& desc) {
  std::memcpy(image.data() + kDescs + rank * sizeof(desc), &desc, sizeof(desc));
}

TEST(Verify, FindsNothingInGoodTables) {
  for (const std::size_t files : {1U, 2U}) {
    const Verdict verdict = verify(write_dump(files));
    EXPECT_EQ(verdict.exit_code, kExitOk) << verdict.text;
    EXPECT_THAT(verdict.text, Not(HasSubstr("tables:")));
    EXPECT_THAT(verdict.text, HasSubstr("924 pages read, 0 left out"));
  }
}

TEST(Verify, FindsAPageThatIsNoMemory) {
  Images images = write_dump(1);
  images[0][kDumped + 520 / 8] |= std::byte{1};
  const Verdict verdict = verify(images);
  EXPECT_EQ(verdict.exit_code, kExitIncomplete);
  EXPECT_THAT(verdict.text,
              HasSubstr("pages near 0x208000 are marked as dumped, but not as memory"));
}

TEST(Verify, FindsDescriptorsThatPointNowhere) {
  const Images good = write_dump(1);
  const KdumpPageDesc page = desc_at(good[0], 5);
  ASSERT_EQ(page.size, kFrameSize);
  const std::pair<KdumpPageDesc, const char*> bad[] = {
      {{good[0].size() - 1, page.size, 0, 0}, "0x5000 extends past the end of the file"},
      {{~std::uint64_t{0}, page.size, 0, 0}, "0x5000 extends past the end of the file"},
      {{kDescs, page.size, 0, 0}, "0x5000 overlaps the tables"},
      {{page.offset, 4097, 0, 0}, "0x5000 has 4097 bytes"},
      {{page.offset + 1, page.size, 0, 0}, "0x6000 overlaps another page's"},
      {{desc_at(good[0], 3).offset, page.size, 0, 0}, "0x5000 overlaps another page's"}};
  for (const auto& [desc, text] : bad) {
    Images images = good;
    set_desc(images[0], 5, desc);
    const Verdict verdict = verify(images);
    EXPECT_EQ(verdict.exit_code, kExitIncomplete) << text;
    EXPECT_THAT(verdict.text, HasSubstr(text));
  }
}

TEST(Verify, FindsPartsOfDifferentDumps) {
  Images images = write_dump(2);
  images[1][kBitmapAt + 501 / 8] |= std::byte{1U << (501 % 8)};
  const Verdict verdict = verify(images);
  EXPECT_EQ(verdict.exit_code, kExitIncomplete);
  EXPECT_THAT(verdict.text, HasSubstr("its bitmaps differ"));
}

// Its bitmap has one more page when it is read for the third time: somebody still writes it.
class ChangingFile : public MemoryFile {
 public:
  using MemoryFile::MemoryFile;
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override {
    auto done = MemoryFile::read_at(out, offset);
    if (offset == kDumped && ++reads_ == 3) out[520 / 8] |= std::byte{1};
    return done;
  }

 private:
  mutable int reads_ = 0;
};

TEST(Verify, NoticesThatAFileChanges) {
  const std::vector<std::byte> image = write_dump(1).front();
  DumpFiles opened, checked;
  opened.push_back(std::make_unique<MemoryFile>(image));
  checked.push_back(std::make_unique<ChangingFile>(image));
  const auto source = open_vmcore(std::move(opened));
  ASSERT_TRUE(source);
  const auto found = check_kdump_tables(checked, **source, {});
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().what(), HasSubstr("changed while being read"));
}

TEST(Verify, SaysHowManyProblemsThereAre) {
  Images images = write_dump(1);
  const KdumpPageDesc nowhere{~std::uint64_t{0}, kFrameSize, 0, 0};
  for (std::size_t rank = 0; rank < 30; ++rank) set_desc(images[0], rank, nowhere);
  EXPECT_THAT(verify(images).text, HasSubstr("and 10 more problems in the tables"));
}

// A PRSTATUS whose register number n has the value 0x1000 + n.
ElfNote make_prstatus() {
  ElfNote note{"CORE", kNotePrstatus, std::vector<std::byte>(336)};
  const std::uint32_t pid = 42;
  std::memcpy(note.desc.data() + 32, &pid, sizeof(pid));
  for (std::uint64_t i = 0; i < 27; ++i) {
    const std::uint64_t value = 0x1000 + i;
    std::memcpy(note.desc.data() + 112 + i * 8, &value, sizeof(value));
  }
  return note;
}

TEST(Info, ShowsRegisters) {
  Memory memory;
  memory.add_note(make_prstatus());
  std::ostringstream text, json;
  InfoOptions options;
  EXPECT_EQ(run_info(options, memory, {text, text, false}), kExitOk);
  EXPECT_THAT(text.str(), HasSubstr("dump: complete"));
  EXPECT_THAT(text.str(), HasSubstr("pid 42 "));
  EXPECT_THAT(text.str(), HasSubstr("rip 0x0000000000001010 rsp 0x0000000000001013"));
  options.json = true;
  EXPECT_EQ(run_info(options, memory, {json, json, false}), kExitOk);
  EXPECT_THAT(json.str(), HasSubstr(R"("pid":42,"registers":{"r15":"0x1000","r14":"0x1001",)"));
  EXPECT_THAT(json.str(), HasSubstr(R"("fs":"0x1019","gs":"0x101a"}})"));
  EXPECT_THAT(json.str(), HasSubstr(R"("complete":true,)"));
  EXPECT_THAT(json.str(), HasSubstr(R"("pages_by_class":null,)"));
}

TEST(Info, NamesADumpOfAXenHost) {
  Memory memory;
  memory.add_note({"VMCOREINFO_XEN", 0, {}});
  std::ostringstream text;
  run_info({}, memory, {text, text, false});
  EXPECT_THAT(text.str(), HasSubstr("a Xen host"));
}

}  // namespace
}  // namespace hadump
