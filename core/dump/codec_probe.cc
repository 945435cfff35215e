// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/codec_probe.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/dump/codec_governor.h"

namespace hadump {

std::chrono::duration<double> thread_cpu_time() {
  timespec now{};
  static_cast<void>(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now));
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Result<std::unique_ptr<CodecProbe>> CodecProbe::create() {
  auto probe = std::make_unique<CodecProbe>();
  for (std::size_t i = 0; i < kCodecRungs; ++i) {
    auto compressor = make_compressor(CodecGovernor::ladder()[i]);
    if (!compressor) return fail(std::move(compressor));
    probe->compressors_[i] = std::move(*compressor);
  }
  probe->pages_.resize(kPages * kFrameSize);
  probe->out_.resize(kMaxCompressedPage);
  return probe;
}

void CodecProbe::keep(std::span<const std::byte> page) {
  std::memcpy(pages_.data() + kept_++ * kFrameSize, page.data(), kFrameSize);
}

CodecSample CodecProbe::end_chunk(std::chrono::duration<double> cpu) {
  worked_ += cpu;
  CodecSample sample;
  const auto begin = thread_cpu_time();
  auto last = begin;
  for (std::size_t rung = 0; rung < kCodecRungs && kept_ > 0; ++rung) {
    CodecCost& cost = sample.by_rung[rung];
    for (std::size_t i = 0; i < kept_; ++i) {
      const auto page = std::span<const std::byte>(pages_).subspan(i * kFrameSize, kFrameSize);
      cost.bytes += static_cast<double>(
          std::min<std::size_t>(compressors_[rung]->compress(page, out_), kFrameSize));
    }
    const auto now = thread_cpu_time();
    cost.cpu = now - last;
    last = now;
  }
  sample.pages = std::exchange(kept_, 0);
  if (sample.pages > 0) ++samples_;
  spent_ += last - begin;
  is_due_ = samples_ < kFreeSamples || spent_ < worked_ * kShare;
  return sample;
}

}  // namespace hadump
