// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

using namespace std::chrono_literals;

/// Notes which frames are read, and whether any is read that was given back.
class WatchedVmcore : public VmcoreSource {
 public:
  explicit WatchedVmcore(const VmcoreSource& inner) : inner_(inner) {}

  const VmcoreLayout& layout() const override { return inner_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    note({first, Gfn{first.value + status.size()}});
    return inner_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

  void release(const FrameSet& frames) {
    const std::lock_guard lock(mutex_);
    released_.insert(frames);
  }
  bool read_after_release() const {
    const std::lock_guard lock(mutex_);
    return read_after_release_;
  }
  /// False when nobody reads any of `frames` within a minute.
  bool wait_until_read(const FrameSet& frames) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [&] {
      return std::any_of(frames.ranges().begin(), frames.ranges().end(),
                         [&](FrameRange range) { return read_.overlaps(range); });
    });
  }

 private:
  void note(FrameRange range) const {
    const std::lock_guard lock(mutex_);
    read_.insert(range);
    read_after_release_ = read_after_release_ || released_.overlaps(range);
    changed_.notify_all();
  }

  const VmcoreSource& inner_;
  mutable std::mutex mutex_;  // protects everything below
  mutable std::condition_variable changed_;
  mutable FrameSet read_;
  FrameSet released_;
  mutable bool read_after_release_ = false;
};

struct Started {
  std::shared_ptr<SinkLog> log = std::make_shared<SinkLog>();
  std::unique_ptr<DumpWriter> writer;
};

Started start(const VmcoreSource& source, const PageFilter* filter) {
  Started started;
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(std::make_unique<MemorySink>(started.log));
  DumpOptions options;
  options.codec = *parse_codec("lzo");
  options.workers = 2;
  auto writer =
      DumpWriter::create(source, filter, source.layout().frames, options, std::move(sinks));
  EXPECT_TRUE(writer);
  if (writer) started.writer = std::move(*writer);
  return started;
}

/// While a portion is made durable, the workers have the next one to do.
TEST(ReadAhead, GoesOnBetweenTwoPortions) {
  const auto machine = make_machine();
  WatchedVmcore source(*machine);
  const Started started = start(source, nullptr);
  const FrameSet first = started.writer->next_portion(1_MiB);
  ASSERT_TRUE(started.writer->write_portion(first));
  EXPECT_TRUE(source.wait_until_read(started.writer->next_portion(1_MiB)));
}

/// Portions of any size, in any order of sizes; what was made durable is never read again.
TEST(ReadAhead, NeverReadsWhatWasReleased) {
  const auto machine = make_machine();
  WatchedVmcore source(*machine);
  const Started started = start(source, nullptr);
  std::uint64_t step = 0;
  for (FrameSet portion; !(portion = started.writer->next_portion(512_KiB << step % 4)).empty();
       ++step) {
    ASSERT_TRUE(started.writer->write_portion(portion));
    ASSERT_TRUE(started.writer->make_durable());
    source.release(portion);
  }
  ASSERT_TRUE(started.writer->finish());
  EXPECT_FALSE(source.read_after_release());
  const auto back = read_kdump(started.log->image());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->pages.size(), machine->layout().frames.frames());
  for (const auto& [gfn, page] : back->pages)
    ASSERT_TRUE(same_page(page, page_of(*machine, gfn))) << std::hex << gfn.value;
}

/// What was done ahead was done at the level of then.
TEST(ReadAhead, IsDoneAgainAtAnotherLevel) {
  const auto machine = make_machine();
  const PatternFilter filter;
  const Started started = start(*machine, &filter);
  const FrameSet first = started.writer->next_portion(1_MiB);
  ASSERT_TRUE(started.writer->write_portion(first));
  ASSERT_TRUE(started.writer->make_durable());
  started.writer->set_dump_level(31);
  const FrameSet rest = started.writer->next_portion(1_GiB);
  ASSERT_TRUE(started.writer->write_portion(rest));
  ASSERT_TRUE(started.writer->finish());
  const auto back = read_kdump(started.log->image());
  ASSERT_TRUE(back);
  for (const auto& [gfn, page] : back->pages) {
    if (!rest.overlaps({gfn, Gfn{gfn.value + 1}})) continue;
    ASSERT_EQ(PatternFilter::class_of(gfn), PageClass::kKeep) << std::hex << gfn.value;
  }
}

/// A caller that writes something else than what next_portion() said.
TEST(ReadAhead, IsForgottenWhenSomethingElseIsWanted) {
  const auto machine = make_machine();
  const Started started = start(*machine, nullptr);
  const FrameSet first = started.writer->next_portion(512_KiB);
  ASSERT_TRUE(started.writer->write_portion(first));
  ASSERT_TRUE(started.writer->make_durable());
  const FrameSet last{{Gfn{0x1100}, Gfn{0x1200}}};
  ASSERT_TRUE(started.writer->write_portion(last));
  ASSERT_TRUE(started.writer->make_durable());
  const auto back = read_kdump(started.log->image());
  ASSERT_TRUE(back);
  FrameSet wanted = first;
  wanted.insert(last);
  FrameSet got;
  for (const auto& [gfn, page] : back->pages) got.insert({gfn, Gfn{gfn.value + 1}});
  EXPECT_EQ(got, wanted);
}

}  // namespace
}  // namespace hadump
