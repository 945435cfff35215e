// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/targets.h"

#include <cstdio>
#include <cstdlib>

namespace hadump {

void fuzz_require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

std::vector<std::byte> bytes_of_text(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace hadump
