// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/progress.h"

#include <cmath>

namespace hadump {

double DumpProgress::bytes_per_second() const {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  return seconds > 0 ? static_cast<double>(frames_done << kFrameShift) / seconds : 0;
}

std::optional<std::chrono::seconds> DumpProgress::remaining() const {
  const double rate = bytes_per_second();
  if (rate <= 0) return std::nullopt;
  const auto left = static_cast<double>((frames_total - frames_done) << kFrameShift);
  return std::chrono::seconds(std::llround(left / rate));
}

void DumpProgress::add(const DumpProgress& part) {
  for (std::size_t i = 0; i < kPageClasses; ++i) frames_by_class[i] += part.frames_by_class[i];
  frames_left_out += part.frames_left_out;
  frames_absent += part.frames_absent;
  frames_missing += part.frames_missing;
  frames_unclassified += part.frames_unclassified;
  frames_compressed += part.frames_compressed;
  bytes_read += part.bytes_read;
}

}  // namespace hadump
