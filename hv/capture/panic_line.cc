// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/panic_line.h"

#include <algorithm>

namespace hadump {
namespace {

constexpr std::size_t kMaxLine = 200;
constexpr std::string_view kPanic = "Kernel panic - not syncing";
// How the kernel begins the report of a fault, arch/x86/mm/fault.c and kernel/dumpstack.c.
constexpr std::string_view kFaults[] = {"BUG: ", "Oops: ", "kernel BUG at ",
                                        "general protection fault"};

std::string_view without_time(std::string_view line) {
  const std::size_t end = line.find("] ");
  return line.starts_with('[') && end != std::string_view::npos ? line.substr(end + 2) : line;
}

bool is_fault(std::string_view text) {
  return std::any_of(std::begin(kFaults), std::end(kFaults),
                     [&](std::string_view start) { return text.starts_with(start); });
}

}  // namespace

std::string find_panic_line(std::string_view log) {
  std::string_view panic;
  std::string_view fault;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(log.size(), line.size() + 1));
    const std::string_view text = without_time(line);
    if (text.starts_with(kPanic)) panic = text;
    if (is_fault(text)) fault = text;
  }
  const std::string_view found = panic.empty() ? fault : panic;
  return std::string(found.substr(0, kMaxLine));
}

}  // namespace hadump
