// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/merged_vmcore.h"

#include <algorithm>
#include <cstring>

namespace hadump {

MergedVmcore::MergedVmcore(std::vector<Part> parts) : parts_(std::move(parts)) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[i];
    part.frames.erase(layout_.frames);
    for (FrameRange range : part.frames.ranges()) pieces_.push_back({range, i});
    layout_.frames.insert(part.frames);
    const VmcoreLayout& theirs = part.source->layout();
    if (layout_.notes.empty()) layout_.notes = theirs.notes;
    layout_.segments.insert(layout_.segments.end(), theirs.segments.begin(), theirs.segments.end());
  }
  std::sort(pieces_.begin(), pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.range.begin < b.range.begin; });
}

MergedVmcore::Slice MergedVmcore::first_slice(FrameRange range) const {
  const auto piece = std::partition_point(
      pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.range.end <= range.begin; });
  if (piece == pieces_.end() || range.end <= piece->range.begin) return {nullptr, range};
  if (range.begin < piece->range.begin) return {nullptr, {range.begin, piece->range.begin}};
  return {parts_[piece->part].source.get(), {range.begin, std::min(range.end, piece->range.end)}};
}

bool MergedVmcore::prefers_mapping() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.source->prefers_mapping(); });
}

Result<> MergedVmcore::read(Gfn first, std::span<std::byte> out,
                            std::span<FrameStatus> status) const {
  FrameRange rest{first, Gfn{first.value + status.size()}};
  std::size_t done = 0;
  while (!rest.empty()) {
    const Slice slice = first_slice(rest);
    const std::size_t frames = slice.range.frames();
    const auto slice_out = out.subspan(done * kFrameSize, frames * kFrameSize);
    const auto slice_status = status.subspan(done, frames);
    if (slice.source == nullptr) {
      std::memset(slice_out.data(), 0, slice_out.size());
      std::fill(slice_status.begin(), slice_status.end(), FrameStatus::kAbsent);
    } else if (auto read = slice.source->read(rest.begin, slice_out, slice_status); !read) {
      return read;
    }
    rest.begin = slice.range.end;
    done += frames;
  }
  return {};
}

Result<FrameView> MergedVmcore::map(FrameRange range) const {
  const Slice slice = first_slice(range);
  if (slice.source == nullptr) return fail(ErrorCode::kNotFound, "the frame is in no part");
  return slice.source->map(slice.range);
}

}  // namespace hadump
