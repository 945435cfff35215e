// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/run_queue_clock.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

namespace hadump {

RunQueueClock::RunQueueClock() : fd_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

std::chrono::nanoseconds RunQueueClock::now() const {
  return std::chrono::steady_clock::now().time_since_epoch() - waited();
}

std::chrono::nanoseconds RunQueueClock::waited() const {
  // "RUNNING WAITING SLICES", the first two in nanoseconds.
  std::array<char, 96> text{};
  const ssize_t got = ::pread(fd_.get(), text.data(), text.size(), 0);
  if (got <= 0) return {};
  const std::string_view line(text.data(), static_cast<std::size_t>(got));
  const std::size_t second = line.find(' ');
  if (second == std::string_view::npos) return {};
  std::uint64_t waited = 0;
  std::from_chars(line.data() + second + 1, line.data() + line.size(), waited);
  return std::chrono::nanoseconds(waited);
}

}  // namespace hadump
