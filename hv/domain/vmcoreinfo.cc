// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/vmcoreinfo.h"

#include <elf.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string_view>

#include "core/abi/hadump_abi.h"
#include "hv/domain/parallel.h"

namespace hadump {
namespace {

constexpr std::string_view kName("VMCOREINFO\0", 11);
constexpr std::string_view kFirstLine = "OSRELEASE=";
constexpr std::uint64_t kSearchFrames = 4096;  // frames one thread maps at a time

// Pieces of at most kSearchFrames, from the lowest and the highest in turn, until `limit` frames
// are in it.
std::vector<FrameRange> search_order(const FrameSet& ram, std::uint64_t limit) {
  std::vector<FrameRange> order;
  std::vector<FrameRange> rest(ram.ranges().begin(), ram.ranges().end());
  std::size_t lowest = 0;
  std::size_t end = rest.size();
  for (bool from_below = true; lowest < end && limit > 0; from_below = !from_below) {
    FrameRange& range = from_below ? rest[lowest] : rest[end - 1];
    const std::uint64_t frames = std::min({range.frames(), kSearchFrames, limit});
    FrameRange piece = range;
    if (from_below)
      range.begin.value = piece.end.value = range.begin.value + frames;
    else
      range.end.value = piece.begin.value = range.end.value - frames;
    order.push_back(piece);
    limit -= frames;
    if (range.frames() == 0) from_below ? ++lowest : --end;
  }
  return order;
}

}  // namespace

Result<std::span<const std::byte>> check_vmcoreinfo_note(std::span<const std::byte> bytes) {
  Elf64_Nhdr note;
  const std::size_t text_offset = sizeof(note) + round_up(kName.size(), 4);
  const auto bad = [](const char* why) { return fail(ErrorCode::kBadData, why); };
  if (bytes.size() < text_offset + kFirstLine.size()) return bad("too short for a VMCOREINFO note");
  std::memcpy(&note, bytes.data(), sizeof(note));
  if (note.n_namesz != kName.size() || note.n_type != 0 ||
      std::memcmp(bytes.data() + sizeof(note), kName.data(), kName.size()) != 0)
    return bad("no VMCOREINFO note");
  if (note.n_descsz > HADUMP_MAX_VMCOREINFO || note.n_descsz < kFirstLine.size() ||
      round_up(note.n_descsz, 4) > bytes.size() - text_offset)
    return bad("a VMCOREINFO note of an impossible length");
  if (std::memcmp(bytes.data() + text_offset, kFirstLine.data(), kFirstLine.size()) != 0)
    return bad("a VMCOREINFO note without OSRELEASE");
  return bytes.first(text_offset + round_up(note.n_descsz, 4));
}

std::span<const std::byte> text_of_vmcoreinfo_note(std::span<const std::byte> note) {
  Elf64_Nhdr header;
  const std::size_t text_offset = sizeof(header) + round_up(kName.size(), 4);
  if (note.size() < text_offset) return {};
  std::memcpy(&header, note.data(), sizeof(header));
  const auto text = note.subspan(text_offset);
  return text.first(std::min<std::size_t>(header.n_descsz, text.size()));
}

Result<std::optional<GuestPhys>> find_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram,
                                                 std::uint64_t limit) {
  std::atomic<std::uint64_t> found = UINT64_MAX;
  const std::vector<FrameRange> order = search_order(ram, limit >> kFrameShift);
  auto done = parallel_for_each(order, [&](FrameRange piece) -> Result<> {
    if (found.load() != UINT64_MAX) return {};
    auto mapping = memory.map(piece, Access::kRead);
    if (!mapping) return fail(std::move(mapping));
    for (std::size_t i = 0; i < piece.frames(); ++i) {
      if (!mapping->present(i)) continue;
      // The note's page is its own allocation, and a note that crosses into a frame that is not
      // there would be none, so looking at one frame finds it.
      if (std::memcmp(mapping->frame(i).data() + sizeof(Elf64_Nhdr), kName.data(), kName.size()) ==
              0 &&
          check_vmcoreinfo_note(mapping->frame(i)))
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
