// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/codec_governor.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "core/base/units.h"

namespace hadump {
namespace {

constexpr std::array<std::string_view, kCodecRungs> kLadder{"lzo", "zstd:-1", "zstd:1", "zstd:3"};
constexpr double kPagesPerDecision = 16384;  // 64 MiB of contents
/// What a page tried counts for after one more sample.
constexpr double kAging = 0.9;
/// Over so many decisions the target's rate is watched.
constexpr std::size_t kTargetRates = 16;
/// One of so many rates may be too low without counting: what the writing thread waits for is not
/// always the target.
constexpr std::size_t kOutliers = 4;
/// Estimates that differ by less are equal.
constexpr double kWorthChanging = 1.02;

}  // namespace

const std::array<CodecChoice, kCodecRungs>& CodecGovernor::ladder() {
  static const std::array<CodecChoice, kCodecRungs> choices = [] {
    std::array<CodecChoice, kCodecRungs> parsed;
    std::transform(kLadder.begin(), kLadder.end(), parsed.begin(),
                   [](std::string_view text) { return *parse_codec(text); });
    return parsed;
  }();
  return choices;
}

std::uint32_t CodecGovernor::flags() {
  std::uint32_t all = 0;
  for (const CodecChoice& choice : ladder()) all |= choice.codec->flag;
  return all;
}

void CodecGovernor::learn(const CodecSample& sample) {
  if (sample.pages == 0) return;
  sampled_pages_ = sampled_pages_ * kAging + static_cast<double>(sample.pages);
  for (std::size_t i = 0; i < kCodecRungs; ++i) {
    sampled_[i].cpu = sampled_[i].cpu * kAging + sample.by_rung[i].cpu;
    sampled_[i].bytes = sampled_[i].bytes * kAging + sample.by_rung[i].bytes;
  }
}

void CodecGovernor::took(const ChunkCost& chunk, Seconds writing) {
  learn(chunk.sample);
  if (chunk.rung != rung()) return;  // From before the change.
  window_.pages += static_cast<double>(chunk.pages);
  window_.compressed += static_cast<double>(chunk.compressed);
  window_.bytes += static_cast<double>(chunk.bytes);
  window_.cpu += chunk.cpu;
  window_.wall += chunk.wall;
  window_.writing += writing;
  if (window_.pages < next_decision_ || sampled_pages_ == 0) return;
  next_decision_ = std::min(2 * next_decision_, kPagesPerDecision);
  decide();
  window_ = {};
}

double CodecGovernor::target_rate(const Window& window) {
  // The first windows are small: what a moment did to them is of no interest later.
  if (window.pages < kPagesPerDecision) target_rates_.clear();
  if (window.writing.count() > 0) target_rates_.push_back(window.bytes / window.writing.count());
  if (target_rates_.size() > kTargetRates) target_rates_.pop_front();
  if (target_rates_.empty()) return std::numeric_limits<double>::infinity();
  // Bytes that are still under way when write() returns make the target look faster than it is: so
  // the lowest rates count, but not the very lowest.
  std::vector<double> rates(target_rates_.begin(), target_rates_.end());
  const auto low = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / kOutliers);
  std::nth_element(rates.begin(), low, rates.end());
  return *low;
}

/// Pages per second.
double CodecGovernor::rate_of(std::size_t rung, double target) const {
  const double tried = window_.compressed / window_.pages;
  const std::size_t now = this->rung();
  const auto codec_seconds = [&](std::size_t i) {
    return tried * sampled_[i].cpu.count() / sampled_pages_;
  };
  const double other_seconds =
      std::max(0.0, window_.cpu.count() / window_.pages - codec_seconds(now));
  const double seconds = other_seconds + codec_seconds(rung);
  // Workers that wait for a CPU, or for what they read, take longer than their CPU time.
  const double slowness = std::max(1.0, window_.wall / window_.cpu);
  const double made = std::min<double>(std::min(workers_, cpus_), workers_ / slowness) / seconds;
  const double bytes = tried * sampled_[rung].bytes / sampled_pages_ + (1 - tried) * kFrameSize;
  return std::min(made, target / bytes);
}

void CodecGovernor::decide() {
  const double target = target_rate(window_);
  const std::size_t now = this->rung();
  std::size_t best = now;
  double best_rate = rate_of(now, target) * kWorthChanging;
  for (std::size_t i = 0; i < kCodecRungs; ++i) {
    const double rate = rate_of(i, target);
    if (rate <= best_rate) continue;
    best = i;
    best_rate = rate;
  }
  rung_.store(best, std::memory_order_relaxed);
}

}  // namespace hadump
