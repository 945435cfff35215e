// SPDX-License-Identifier: GPL-2.0-or-later
// What a dump takes over from its source: what is known not to be there, and what a header says.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "core/vmcore/kdump_layout.h"
#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

constexpr FrameRange kMemory{Gfn{0}, Gfn{1200}};
constexpr FrameRange kAbsent{Gfn{256}, Gfn{700}};
constexpr FrameRange kLost{Gfn{700}, Gfn{750}};
constexpr FrameRange kMoreAbsent{Gfn{1150}, Gfn{1200}};

/// Some frames are absent and some lost; whether that is known beforehand is up to the test.
class Source : public VmcoreSource {
 public:
  explicit Source(bool knows) : memory_(FrameSet{kMemory}) {
    for (std::uint64_t i = 0; i < kMemory.end.value; ++i) {
      const Gfn gfn{i};
      if (kAbsent.contains(gfn) || kMoreAbsent.contains(gfn))
        memory_.leave_out(gfn);
      else if (kLost.contains(gfn))
        memory_.refuse(gfn);
      else if (i % 5 != 0)
        memory_.fill(gfn, static_cast<std::byte>(i % 251 + 1));
    }
    layout_ = memory_.layout();
    if (!knows) return;
    layout_.absent = {kAbsent, kMoreAbsent};
    layout_.lost = {kLost};
  }

  VmcoreLayout& layout() { return layout_; }
  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    for (std::size_t i = 0; i < status.size(); ++i)
      EXPECT_FALSE(layout_.absent.contains(Gfn{first.value + i}) ||
                   layout_.lost.contains(Gfn{first.value + i}));
    return memory_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return memory_.map(range); }

 private:
  InMemoryVmcore memory_;
  VmcoreLayout layout_;
};

DumpRun dump(const VmcoreSource& source, const OutputFormat* format, unsigned level = 0) {
  RunOptions options;
  options.dump.format = format;
  options.dump.dump_level = level;
  options.dump.workers = 1;
  return run_dump(source, options);
}

TEST(SourceFacts, WhatIsKnownNotToBeThereIsNotReadButWrittenLikewise) {
  for (const OutputFormat* format : {kKdump, kElf}) {
    const DumpRun found_out = dump(Source(false), format);
    const DumpRun known = dump(Source(true), format);
    ASSERT_TRUE(found_out.summary && known.summary);
    EXPECT_EQ(known.summary->missing, FrameSet{kLost});
    EXPECT_FALSE(known.summary->complete);
    EXPECT_EQ(known.summary->progress.frames_done, kMemory.frames());
    EXPECT_EQ(known.summary->progress.frames_absent, found_out.summary->progress.frames_absent);
    const auto read = format == kElf ? read_elf : read_kdump;
    const auto one = read(found_out.log->image()), other = read(known.log->image());
    ASSERT_TRUE(one && other);
    EXPECT_EQ(frames_of(*one), frames_of(*other));
    EXPECT_EQ(one->lost, other->lost);
    EXPECT_TRUE(other->incomplete);
    for (const auto& [gfn, page] : one->pages)
      ASSERT_TRUE(same_page(page, other->pages.at(gfn))) << gfn.value;
  }
  EXPECT_TRUE(
      same_bytes(dump(Source(false), kElf).log->image(), dump(Source(true), kElf).log->image()));
}

TEST(SourceFacts, ADumpOfNothingButHolesIsWhole) {
  Source source(true);
  source.layout().absent = FrameSet{kMemory};
  source.layout().lost = {};
  for (const OutputFormat* format : {kKdump, kElf}) {
    const DumpRun run = dump(source, format);
    ASSERT_TRUE(run.summary) << run.summary.error().what();
    EXPECT_TRUE(run.summary->complete);
  }
}

struct Headers {
  KdumpHeader header;
  KdumpSubHeader sub;
};

Headers headers_of(const DumpRun& run) {
  const auto image = run.log->image();
  Headers headers;
  std::memcpy(&headers.header, image.data(), sizeof(headers.header));
  std::memcpy(&headers.sub, image.data() + kFrameSize, sizeof(headers.sub));
  return headers;
}

TEST(SourceFacts, WhatOnlyTheHeaderSaidIsSaidAgain) {
  Source source(true);
  source.layout().header = {.dump_level = 16,
                            .crash_time_s = 1735689600,
                            .phys_base = 0x1000000,
                            .sysname = "Linux",
                            .nodename = "db1",
                            .release = "6.1.0-56-amd64",
                            .version = "#1 SMP",
                            .domainname = "example.org"};
  source.layout().notes.push_back({"ERASEINFO", 0, std::vector<std::byte>(7, std::byte{'e'})});
  const DumpRun run = dump(source, kKdump, 1);
  ASSERT_TRUE(run.summary);
  const auto [header, sub] = headers_of(run);
  EXPECT_STREQ(header.utsname.nodename.data(), "db1");
  EXPECT_STREQ(header.utsname.release.data(), "6.1.0-56-amd64");
  EXPECT_STREQ(header.utsname.version.data(), "#1 SMP");
  EXPECT_STREQ(header.utsname.domainname.data(), "example.org");
  EXPECT_EQ(header.seconds, 1735689600);
  EXPECT_EQ(sub.phys_base, 0x1000000U);
  EXPECT_EQ(sub.dump_level, 17);
  EXPECT_EQ(sub.erase_info_size, 7U);
  EXPECT_EQ(run.log->image()[sub.erase_info_offset], std::byte{'e'});
}

// Users give a filtered dump away because user data is not in it.
TEST(SourceFacts, ALevelThatCouldNotBeAppliedIsNotClaimed) {
  const Source source(true);
  EXPECT_EQ(headers_of(dump(source, kKdump, 31)).sub.dump_level, 1);
  EXPECT_EQ(headers_of(dump(source, kKdump, 30)).sub.dump_level, 0);
  const PatternFilter filter;
  RunOptions options;
  options.dump.dump_level = 31;
  options.filter = &filter;
  EXPECT_EQ(headers_of(run_dump(source, options)).sub.dump_level, 31);
}

// A stream has no holes, and the readers of streams want every byte of the tables.
TEST(SourceFacts, AStreamOfEmptyTablesIsRefusedBeforeAnythingIsWritten) {
  const Gfn far{std::uint64_t{1} << 39};
  InMemoryVmcore machine(FrameSet{{Gfn{1}, Gfn{2}}, {far, Gfn{far.value + 1}}});
  RunOptions options;
  options.can_rewrite = false;
  const DumpRun run = run_dump(machine, options);
  ASSERT_FALSE(run.summary);
  EXPECT_EQ(run.summary.error().code(), ErrorCode::kUnsupported);
  EXPECT_TRUE(run.log->writes.empty());
}

/// Of which nothing can be read for want of memory.
class Greedy : public Source {
 public:
  Greedy() : Source(true) {}
  Result<> read(Gfn, std::span<std::byte>, std::span<FrameStatus>) const override {
    throw std::bad_alloc();
  }
};

TEST(SourceFacts, AWorkerWithoutMemoryEndsTheDumpWithAnError) {
  const Greedy source;
  const DumpRun run = dump(source, kKdump);
  ASSERT_FALSE(run.summary);
  EXPECT_EQ(run.summary.error().os_errno(), ENOMEM) << run.summary.error().what();
}

}  // namespace
}  // namespace hadump
