// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/vmcoreinfo_note.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace hadump {
namespace {

constexpr std::string_view kName("VMCOREINFO\0", 11);
constexpr std::string_view kFirstLine = "OSRELEASE=";
constexpr std::uint64_t kSearchFrames = 4096;  // frames one thread maps at a time

}  // namespace

bool is_vmcoreinfo_note(std::span<const std::byte> page) {
  return page.size() >= sizeof(Elf64_Nhdr) + kName.size() &&
         std::memcmp(page.data() + sizeof(Elf64_Nhdr), kName.data(), kName.size()) == 0;
}

Result<std::span<const std::byte>> check_vmcoreinfo_note(std::span<const std::byte> bytes) {
  Elf64_Nhdr note;
  const std::size_t text_offset = sizeof(note) + round_up(kName.size(), 4);
  const auto bad = [](const char* why) { return fail(ErrorCode::kBadData, why); };
  if (bytes.size() < text_offset + kFirstLine.size()) return bad("too short for a VMCOREINFO note");
  std::memcpy(&note, bytes.data(), sizeof(note));
  if (note.n_namesz != kName.size() || note.n_type != 0 ||
      std::memcmp(bytes.data() + sizeof(note), kName.data(), kName.size()) != 0)
    return bad("no VMCOREINFO note");
  if (note.n_descsz > kMaxVmcoreinfoNoteBytes || note.n_descsz < kFirstLine.size() ||
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

std::vector<std::byte> with_crash_time(std::vector<std::byte> note, std::uint64_t crash_time) {
  constexpr std::string_view kLine = "CRASHTIME=";
  const std::span<const std::byte> bytes = text_of_vmcoreinfo_note(note);
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.erase(text.find_last_not_of('\0') + 1);
  if (text.empty() || crash_time == 0 || text.find("\n" + std::string(kLine)) != std::string::npos)
    return note;
  if (!text.ends_with('\n')) text += '\n';
  text += std::string(kLine) + std::to_string(crash_time) + '\n';
  if (text.size() > kMaxVmcoreinfoNoteBytes) return note;
  Elf64_Nhdr header;
  std::memcpy(&header, note.data(), sizeof(header));
  header.n_descsz = static_cast<Elf64_Word>(text.size());
  std::memcpy(note.data(), &header, sizeof(header));
  const std::size_t text_offset = sizeof(header) + round_up(kName.size(), 4);
  note.resize(text_offset);
  note.resize(text_offset + round_up(text.size(), 4));
  std::memcpy(note.data() + text_offset, text.data(), text.size());
  return note;
}

std::vector<FrameRange> vmcoreinfo_search_order(const FrameSet& memory, std::uint64_t limit) {
  std::vector<FrameRange> order;
  std::vector<FrameRange> rest(memory.ranges().begin(), memory.ranges().end());
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

}  // namespace hadump
