// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/page_samples.h"

#include <algorithm>

#include "core/dump/kdump_bitmap.h"
#include "core/dump/kdump_header.h"
#include "core/dump/page_test.h"
#include "core/save/dump_contents.h"

namespace hadump {
namespace {

// Enough for a figure of two digits, few enough for a second.
constexpr std::uint64_t kSamples = 16384;

/// Goes through the memory of a dump as far as the dump has it: what it left out is not written
/// again.
class Sampler {
 public:
  Sampler(const VmcoreSource& source, const PageFilter* filter, PageCompressor* compressor)
      : source_(source),
        filter_(filter),
        compressor_(compressor),
        claimed_(source.layout().frames) {
    claimed_.erase(source.layout().absent);
    claimed_.erase(source.layout().lost);
  }

  Result<Samples> run() {
    std::uint64_t frames = 0;
    for_each_run(claimed_, nullptr, [&](const PageRun& run) {
      if (look_up(run.frames)) frames += present_.intersection(run.frames).frames();
    });
    stride_ = std::max<std::uint64_t>(1, frames / kSamples);
    for_each_run(claimed_, filter_, [&](const PageRun& run) {
      if (!look_up(run.frames)) return;
      const FrameSet present = present_.intersection(run.frames);
      for (FrameRange range : present.ranges()) take(range, run.page_class);
    });
    if (!result_) return fail(std::move(result_));
    return samples_;
  }

 private:
  /// Makes present_ what the dump has around `frames`, which for_each_run() gives in steps.
  bool look_up(FrameRange frames) {
    constexpr std::uint64_t kStep = 128_MiB >> kFrameShift;
    const FrameRange step{Gfn{round_down(frames.begin.value, kStep)},
                          Gfn{round_up(frames.end.value, kStep)}};
    if (!result_ || step == looked_up_) return result_.has_value();
    auto present = source_.present_in(step);
    if (!present) {
      result_ = fail(std::move(present));
      return false;
    }
    present_ = std::move(*present);
    looked_up_ = step;
    return true;
  }

  void take(FrameRange range, PageClass page_class) {
    ClassSample& sample = samples_[static_cast<std::size_t>(page_class)];
    sample.frames += range.frames();
    if (page_class == PageClass::kHardwarePoisoned || page_class == PageClass::kOffline) return;
    for (; to_next_ < range.frames(); to_next_ += stride_)
      look_at(Gfn{range.begin.value + to_next_}, sample);
    to_next_ -= range.frames();
  }

  void look_at(Gfn gfn, ClassSample& sample) {
    alignas(std::uint64_t) std::array<std::byte, kFrameSize> page{};
    std::array<std::byte, kMaxCompressedPage> packed{};
    FrameStatus status = FrameStatus::kFailed;
    if (!source_.read(gfn, page, {&status, 1})) return;
    ++sample.sampled;
    if (status == FrameStatus::kAbsent) ++sample.absent;
    if (status != FrameStatus::kRead) return;  // A lost page takes no room but its descriptor's.
    if (is_zero_page(page)) {
      ++sample.zero;
      return;
    }
    const std::size_t size =
        compressor_ == nullptr ? kFrameSize : compressor_->compress(page, packed);
    sample.bytes += std::min(size, kFrameSize);
  }

  const VmcoreSource& source_;
  const PageFilter* filter_;
  PageCompressor* compressor_;
  FrameSet claimed_;
  FrameSet present_;
  FrameRange looked_up_{};
  std::uint64_t stride_ = 1;
  std::uint64_t to_next_ = 0;  ///< So many frames lie before the next to look at.
  Samples samples_{};
  Result<> result_;
};

}  // namespace

Result<Samples> take_samples(const VmcoreSource& source, const PageFilter* filter,
                             PageCompressor* compressor) {
  return Sampler(source, filter, compressor).run();
}

std::uint64_t dump_table_bytes(const VmcoreLayout& layout) {
  const std::uint64_t bitmap = kdump_bitmap_bytes(layout.frames.ranges().back().end.value);
  std::uint64_t bits = 0;
  static_cast<void>(
      for_each_bitmap_piece(layout.frames, bitmap, false,
                            [&](std::uint64_t, std::span<const std::uint8_t> piece) -> Result<> {
                              bits += piece.size();
                              return {};
                            }));
  return kdump_headers_bytes(encode_notes(layout.notes)) + 2 * bits + kFrameSize;
}

}  // namespace hadump
