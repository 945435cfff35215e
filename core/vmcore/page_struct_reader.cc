// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_struct_reader.h"

#include <algorithm>
#include <utility>

namespace hadump {
namespace {

/// Below this, copying struct pages costs less than mapping them.
constexpr std::uint64_t kMinMappedBytes = 64_KiB;
/// Struct pages that are copied at once where their size does not divide a page.
constexpr std::uint64_t kCopiedStructs = 2048;

}  // namespace

PageStructWindow PageStructReader::open_of(Gfn gfn, std::uint64_t wanted) {
  const auto structs = sections_.page_structs(sections_.section_of(gfn));
  if (!structs) return {};
  const std::uint64_t in_section = gfn.value % sections_.frames_per_section();
  return open(GuestVirt{structs->value + in_section * bytes_}, wanted);
}

PageStructWindow PageStructReader::open(GuestVirt at, std::uint64_t wanted) {
  if (kFrameSize % bytes_ != 0) return copy(at, std::min(wanted, kCopiedStructs));
  PageStructWindow window;
  const auto found = walker_.translate(at);
  if (!found) return window;
  const std::uint64_t length = std::min(found->bytes, round_up(wanted * bytes_, kFrameSize));
  const std::uint64_t skip = found->phys.value % kFrameSize;
  const FrameRange frames{frame_of(found->phys),
                          Gfn{round_up(found->phys.value + length, kFrameSize) >> kFrameShift}};
  const bool maps = source_.prefers_mapping() && length >= kMinMappedBytes;
  auto view = maps ? source_.map(frames) : copy_view(source_, frames);
  if (!view) return window;
  window.view = std::move(*view);
  window.data = window.view.bytes().data() + skip;
  window.count = std::min((window.view.bytes().size() - skip) / bytes_, wanted);
  return window;
}

/// For struct pages that cross page borders.
PageStructWindow PageStructReader::copy(GuestVirt at, std::uint64_t wanted) const {
  PageStructWindow window;
  window.copy.reset(new std::byte[wanted * bytes_]);
  window.data = window.copy.get();
  const std::uint64_t length = wanted * bytes_;
  if (space_.read(at, {window.copy.get(), length})) {
    window.count = wanted;
    return window;
  }
  // Somewhere further on is a hole: up to there, since what was thrown away would be read again for
  // each frame.
  std::uint64_t read = 0;
  while (read < length) {
    const GuestVirt next{at.value + read};
    const std::uint64_t piece = std::min(length - read, kFrameSize - next.value % kFrameSize);
    if (!space_.read(next, {window.copy.get() + read, piece})) break;
    read += piece;
  }
  window.count = read / bytes_;
  return window;
}

}  // namespace hadump
