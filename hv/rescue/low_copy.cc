// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/low_copy.h"

#include <algorithm>
#include <cstring>

#include "hv/domain/parallel.h"
#include "hv/rescue/checksum.h"

namespace hadump {
namespace {

constexpr std::uint64_t kCopyFrames = kChecksumPieceBytes >> kFrameShift;

}  // namespace

LowCopy::LowCopy(const GuestMemory& memory, std::span<const FrameRange> regions, FrameRange low)
    : memory_(memory) {
  Gfn to = low.begin;
  for (FrameRange region : regions)
    for (Gfn from = region.begin; from < region.end;) {
      const Gfn end{std::min(from.value + kCopyFrames, region.end.value)};
      pieces_.push_back({{from, end}, to});
      to.value += end.value - from.value;
      from = end;
    }
  copies_.resize(pieces_.size());
  sources_.resize(pieces_.size());
}

Result<std::uint64_t> LowCopy::for_each_piece(
    const std::function<Result<std::uint64_t>(const Piece&, std::size_t)>& work) const {
  std::vector<std::uint64_t> sums(pieces_.size());
  const FrameSet indices{FrameRange{Gfn{0}, Gfn{pieces_.size()}}};
  auto done = parallel_for_pieces(indices, 1, [&](FrameRange index) -> Result<> {
    const std::size_t i = index.begin.value;
    auto sum = work(pieces_[i], i);
    if (!sum) return fail(std::move(sum));
    sums[i] = *sum;
    return {};
  });
  if (!done) return fail(std::move(done));
  return combine_checksums(sums);
}

Result<std::uint64_t> LowCopy::copy() {
  return for_each_piece([this](const Piece& piece, std::size_t i) -> Result<std::uint64_t> {
    auto from = memory_.map(piece.from, Access::kRead);
    if (!from) return fail(std::move(from));
    auto to =
        memory_.map({piece.to, Gfn{piece.to.value + piece.from.frames()}}, Access::kReadWrite);
    if (!to) return fail(std::move(to));
    if (!to->all_present()) return fail(ErrorCode::kBadData, "the save area has holes");
    if (from->all_present()) {
      std::memcpy(to->bytes().data(), from->bytes().data(), to->bytes().size());
    } else {
      for (std::size_t frame = 0; frame < piece.from.frames(); ++frame) {
        if (from->present(frame))
          std::memcpy(to->frame(frame).data(), from->frame(frame).data(), kFrameSize);
        else
          std::memset(to->frame(frame).data(), 0, kFrameSize);
      }
    }
    const std::uint64_t sum = checksum(to->bytes());
    copies_[i] = std::move(*to);
    sources_[i] = std::move(*from);
    return sum;
  });
}

Result<std::uint64_t> LowCopy::check() {
  return for_each_piece([this](const Piece& piece, std::size_t i) -> Result<std::uint64_t> {
    if (copies_[i].bytes().empty()) {
      auto to = memory_.map({piece.to, Gfn{piece.to.value + piece.from.frames()}}, Access::kRead);
      if (!to) return fail(std::move(to));
      if (!to->all_present()) return fail(ErrorCode::kBadData, "the save area has holes");
      copies_[i] = std::move(*to);
    }
    return checksum(copies_[i].bytes());
  });
}

std::vector<FrameMapping> LowCopy::take_mappings() {
  std::vector<FrameMapping> all = std::move(sources_);
  for (FrameMapping& copy : copies_) all.push_back(std::move(copy));
  return all;
}

}  // namespace hadump
