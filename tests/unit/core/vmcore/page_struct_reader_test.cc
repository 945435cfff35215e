// SPDX-License-Identifier: GPL-2.0-or-later
// How often struct pages are read.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/vmcore/page_classifier.h"
#include "tests/fakes/linux_machine.h"

namespace hadump {
namespace {

/// Counts the frames that are read.
class CountingSource : public VmcoreSource {
 public:
  explicit CountingSource(const VmcoreSource& inner) : inner_(inner) {}
  const VmcoreLayout& layout() const override { return inner_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    frames += status.size();
    return inner_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override {
    auto view = inner_.map(range);
    if (view) frames += view->range().frames();
    return view;
  }
  mutable std::atomic<std::uint64_t> frames{0};

 private:
  const VmcoreSource& inner_;
};

/// Frames that are read to tell the pages of two sections apart, 128 at a time, as the writer does.
std::uint64_t frames_read_for(const VmcoreSource& dump) {
  const CountingSource source(dump);
  const auto classifier = PageClassifier::open(source);
  EXPECT_TRUE(classifier);
  source.frames = 0;
  std::vector<PageRun> runs;
  for (std::uint64_t at = 0; at < 2 * 32768; at += 128)
    EXPECT_TRUE((*classifier)->classify({Gfn{at}, Gfn{at + 128}}, runs));
  return source.frames;
}

TEST(PageStructReader, ReadsStructPagesOnceHoweverSmallTheRanges) {
  LinuxMachine machine({.sections = 2});
  const std::uint64_t frames = frames_read_for(machine.finish());
  const std::uint64_t struct_frames = 2 * 32768 * 64 / kFrameSize;
  EXPECT_GE(frames, struct_frames);
  EXPECT_LE(frames, struct_frames + 100) << "more than some page tables beyond";
}

// Their size divides no page, so they are copied; a hole must not make what lies before it be read
// again for each frame.
TEST(PageStructReader, ReadsStructPagesBeforeAHoleOnce) {
  LinuxMachine machine({.sections = 2, .page_struct = 72, .large_vmemmap = false});
  for (std::uint64_t pfn = 500; pfn < 2 * 32768; pfn += 500)
    machine.dump.refuse(machine.frame_of_page_struct(pfn));
  const std::uint64_t frames = frames_read_for(machine.finish());
  const std::uint64_t struct_frames = 2 * 32768 * 72 / kFrameSize;
  EXPECT_LE(frames, 20 * struct_frames) << "page tables included";
}

}  // namespace
}  // namespace hadump
