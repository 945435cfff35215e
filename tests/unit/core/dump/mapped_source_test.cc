// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>

#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

/// A machine that can be mapped, a few frames at a time; counts how it is read.
class MappableVmcore : public VmcoreSource {
 public:
  MappableVmcore(const VmcoreSource& inner, bool prefers_mapping)
      : inner_(inner), prefers_mapping_(prefers_mapping) {}

  const VmcoreLayout& layout() const override { return inner_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    ++reads_;
    return inner_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override {
    ++maps_;
    auto copy = copy_view(inner_, {range.begin, std::min(range.end, Gfn{range.begin.value + 7})});
    if (!copy) return copy;
    void* const base = ::mmap(nullptr, copy->bytes().size(), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return fail_os(errno, "mapping");
    std::copy(copy->bytes().begin(), copy->bytes().end(), static_cast<std::byte*>(base));
    return FrameView(copy->range(), MemoryMapping(base, copy->bytes().size(), 0));
  }
  bool prefers_mapping() const override { return prefers_mapping_; }

  unsigned reads() const { return reads_; }
  unsigned maps() const { return maps_; }

 private:
  const VmcoreSource& inner_;
  bool prefers_mapping_;
  mutable std::atomic<unsigned> reads_ = 0;
  mutable std::atomic<unsigned> maps_ = 0;
};

class MappedSource : public testing::TestWithParam<const OutputFormat*> {};

/// What is in the file does not depend on how the memory was read.
TEST_P(MappedSource, GivesTheSameDump) {
  const auto machine = make_machine();
  RunOptions options;
  options.dump.format = GetParam();
  options.dump.codec = *parse_codec(GetParam() == kKdump ? "lzo" : "none");
  options.dump.workers = 2;
  const MappableVmcore mapped(*machine, true);
  const MappableVmcore read(*machine, false);
  const DumpRun by_mapping = run_dump(mapped, options);
  const DumpRun by_reading = run_dump(read, options);
  ASSERT_TRUE(by_mapping.summary) << by_mapping.summary.error().what();
  ASSERT_TRUE(by_reading.summary) << by_reading.summary.error().what();
  EXPECT_TRUE(same_bytes(by_mapping.log->image(), by_reading.log->image()));
  EXPECT_GT(mapped.maps(), 0U);
  EXPECT_EQ(mapped.reads(), 0U);
  EXPECT_EQ(read.maps(), 0U);
  EXPECT_GT(read.reads(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Formats, MappedSource, testing::Values(kKdump, kElf, kXen));

}  // namespace
}  // namespace hadump
