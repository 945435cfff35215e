// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/vmcoreinfo.h"

#include <algorithm>
#include <atomic>

#include "core/abi/hadump_abi.h"
#include "hv/domain/parallel.h"

namespace hadump {
namespace {

static_assert(kMaxVmcoreinfoNoteBytes == HADUMP_MAX_VMCOREINFO);

}  // namespace

Result<std::optional<GuestPhys>> find_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram,
                                                 std::uint64_t limit) {
  std::atomic<std::uint64_t> found = UINT64_MAX;
  const std::vector<FrameRange> order = vmcoreinfo_search_order(ram, limit >> kFrameShift);
  auto done = parallel_for_each(order, [&](FrameRange piece) -> Result<> {
    if (found.load() != UINT64_MAX) return {};
    auto mapping = memory.map(piece, Access::kRead);
    if (!mapping) return fail(std::move(mapping));
    for (std::size_t i = 0; i < piece.frames(); ++i) {
      if (!mapping->present(i)) continue;
      // The note's page is its own allocation, and a note that crosses into a frame that is not
      // there would be none, so looking at one frame finds it.
      if (is_vmcoreinfo_note(mapping->frame(i)) && check_vmcoreinfo_note(mapping->frame(i)))
        found = (piece.begin.value + i) << kFrameShift;
    }
    return {};
  });
  if (!done) return fail(std::move(done));
  if (found.load() == UINT64_MAX) return std::optional<GuestPhys>{};
  return std::optional<GuestPhys>(GuestPhys{found.load()});
}

Result<std::vector<std::byte>> read_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram,
                                               GuestPhys at) {
  std::uint64_t limit = HADUMP_MAX_VMCOREINFO;
  std::vector<std::byte> bytes;
  // The note's length is inside it: take as much as there is room for below the end of RAM.
  for (FrameRange range : ram.ranges())
    if (range.contains(frame_of(at)))
      limit = std::min(limit, address_of(range.end).value - at.value);
  if (!ram.contains(frame_of(at))) return fail(ErrorCode::kBadData, "VMCOREINFO is not in RAM");
  // One page first: it nearly always holds the whole note, and what follows may be absent.
  for (std::uint64_t size :
       {std::min<std::uint64_t>(limit, kFrameSize - at.value % kFrameSize), limit}) {
    bytes.resize(size);
    if (auto done = read_guest(memory, at, bytes); !done) return fail(std::move(done));
    if (auto note = check_vmcoreinfo_note(bytes)) {
      bytes.resize(note->size());
      return bytes;
    } else if (size == limit) {
      return fail(std::move(note));
    }
  }
  return fail(ErrorCode::kBadData, "no VMCOREINFO note");
}

}  // namespace hadump
