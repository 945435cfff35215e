// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/regions_file.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "core/base/file.h"

namespace hadump {
namespace {

// Far above what the module prints for HADUMP_MAX_RANGES ranges (about 50 bytes each).
constexpr std::uint64_t kMaxRegionsText = 32_MiB;
constexpr int kMostTries = 40;
constexpr std::chrono::milliseconds kLongestPause{200};

}  // namespace

Result<std::string> read_patiently(const std::function<Result<std::string>()>& read,
                                   const std::function<void(std::chrono::milliseconds)>& pause) {
  std::chrono::milliseconds next{1};
  for (int i = 1;; ++i) {
    auto text = read();
    if (text || text.error().os_errno() != EAGAIN || i == kMostTries) return text;
    pause(next);
    next = std::min(2 * next, kLongestPause);
  }
}

Result<RegionTable> read_regions(const std::string& kernel_dir) {
  auto text = read_patiently(
      [&] { return read_text_file(kernel_dir + "/hadump/regions", kMaxRegionsText); },
      [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); });
  if (!text) return fail(std::move(text));
  return RegionTable::parse(*text);
}

}  // namespace hadump
