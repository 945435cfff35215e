// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/format.h"

namespace hadump {
Result<std::uint64_t> write_pages(DumpSink& sink, std::span<const PageOutcome> pages,
                                  std::uint64_t offset_of_first) {
  std::uint64_t written = 0;
  const std::byte* from = nullptr;
  std::size_t size = 0;
  const auto put = [&]() -> Result<> {
    if (size == 0) return {};
    auto done = sink.write_data(offset_of_first + written, {from, size});
    written += size;
    return done;
  };
  for (const PageOutcome& page : pages) {
    if (page.fate != PageFate::kData) continue;
    if (page.data != from + size) {
      if (auto done = put(); !done) return fail(std::move(done));
      from = page.data;
      size = 0;
    }
    size += page.size;
  }
  if (auto done = put(); !done) return fail(std::move(done));
  return written;
}

}  // namespace hadump
