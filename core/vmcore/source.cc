// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/source.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hadump {
namespace {

/// Copies cost memory of our own, so they are smaller than mappings may be.
constexpr std::uint64_t kMaxCopyFrames = 512_KiB / kFrameSize;

}  // namespace

std::vector<const ElfNote*> cpu_notes(const VmcoreLayout& layout) {
  std::vector<const ElfNote*> found;
  for (const ElfNote& note : layout.notes)
    if (note.name == "CORE" && note.type == kNotePrstatus && found.size() < kMaxCpus)
      found.push_back(&note);
  return found;
}

std::string_view vmcoreinfo_text(const VmcoreLayout& layout) {
  for (const ElfNote& note : layout.notes)
    if (note.name == "VMCOREINFO")
      return {reinterpret_cast<const char*>(note.desc.data()), note.desc.size()};
  return {};
}

Result<FrameSet> VmcoreSource::present_in(FrameRange range) const {
  FrameSet present = layout().frames.intersection(range);
  present.erase(layout().absent.intersection(range));
  return present;
}

Result<FrameView> copy_view(const VmcoreSource& source, FrameRange range) {
  const std::size_t frames = static_cast<std::size_t>(std::min(range.frames(), kMaxCopyFrames));
  // Not value-initialised: read() writes every byte.
  std::unique_ptr<std::byte[]> copy(new std::byte[frames * kFrameSize]);
  std::array<FrameStatus, kMaxCopyFrames> status;
  if (auto r = source.read(range.begin, {copy.get(), frames * kFrameSize},
                           std::span(status).first(frames));
      !r)
    return fail(std::move(r));
  std::size_t good = 0;
  while (good < frames && status[good] == FrameStatus::kRead) ++good;
  if (good == 0 && status[0] == FrameStatus::kAbsent)
    return fail(ErrorCode::kNotFound, "the frame is not in the dump");
  if (good == 0) return fail(ErrorCode::kBadData, "the frame cannot be read");
  return FrameView({range.begin, Gfn{range.begin.value + good}}, std::move(copy));
}

}  // namespace hadump
