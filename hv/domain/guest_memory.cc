// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/guest_memory.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/base/text.h"

namespace hadump {
namespace {

// 4 MiB at a time: few calls, and small enough that a large copy does not need as much address
// space again.
constexpr std::uint64_t kMappedFrames = 1024;

template <typename Touch>
Result<> for_pieces(const GuestMemory& memory, GuestPhys address, std::uint64_t bytes,
                    Access access, Touch touch) {
  while (bytes > 0) {
    const std::uint64_t offset = address.value % kFrameSize;
    const std::uint64_t chunk = std::min(bytes, kMappedFrames * kFrameSize - offset);
    const Gfn first = frame_of(address);
    const Gfn end{round_up(address.value + chunk, kFrameSize) >> kFrameShift};
    auto mapping = memory.map({first, end}, access);
    if (!mapping) return fail(std::move(mapping));
    if (!mapping->all_present())
      return fail(ErrorCode::kBadData, fmt::format("guest frames [{:#x}, {:#x}) are not all there",
                                                   first.value, end.value));
    touch(mapping->bytes().subspan(offset, chunk));
    address.value += chunk;
    bytes -= chunk;
  }
  return {};
}

// visit(mapping, the frame's index in it, its number in all), in order, until it fails.
template <typename Visit>
Result<> for_each_frame(const std::vector<FrameMapping>& mappings, const Visit& visit) {
  std::size_t number = 0;
  for (const FrameMapping& mapping : mappings)
    for (std::size_t i = 0; i < mapping.range().frames(); ++i, ++number)
      if (auto done = visit(mapping, i, number); !done) return done;
  return {};
}

}  // namespace

Result<std::vector<FrameMapping>> GuestMemory::map_all(const FrameSet& frames,
                                                       Access access) const {
  std::vector<FrameMapping> all;
  for (FrameRange range : frames.ranges()) {
    auto mapping = map(range, access);
    if (!mapping) return fail(std::move(mapping));
    all.push_back(std::move(*mapping));
  }
  return all;
}

Result<> GuestMemory::populate(const FrameSet& frames, std::uint64_t keep_free_bytes) {
  auto free = host_free_bytes();
  if (!free) return fail(std::move(free));
  if (*free < frames.bytes() || *free - frames.bytes() < keep_free_bytes) {
    const std::string kept =
        keep_free_bytes == 0 ? ""
                             : fmt::format(" and {} must stay free", format_size(keep_free_bytes));
    return fail(ErrorCode::kNoSpace,
                fmt::format("the host has {} of free memory, but {} are needed{}",
                            format_size(*free), format_size(frames.bytes()), kept));
  }
  return add_frames(frames);
}

Result<> GuestMemory::remove(FrameRange range) {
  for (FrameRange piece{range.begin, range.begin}; piece.end < range.end;) {
    // Ends at whole pieces, so that large pages stay whole.
    const std::uint64_t end = round_down(piece.end.value, kMappedFrames) + kMappedFrames;
    piece = {piece.end, Gfn{std::min(end, range.end.value)}};
    if (auto done = remove_piece(piece); !done) return done;
  }
  return {};
}

// Memory that the hardware has reported as bad must not be touched, and goes to nobody: Xen retires
// it when it is freed.
Result<> GuestMemory::remove_piece(FrameRange piece) {
  auto kinds = this->kinds(piece);
  if (!kinds) return fail(std::move(kinds));
  auto mapping = map(piece, Access::kReadWrite);
  if (!mapping) return fail(std::move(mapping));
  FrameSet leaving;
  for (std::size_t i = 0; i < kinds->size(); ++i) {
    if ((*kinds)[i] == FrameKind::kAbsent) continue;
    const Gfn gfn{piece.begin.value + i};
    if ((*kinds)[i] == FrameKind::kRam) {
      if (!mapping->present(i))
        return fail(ErrorCode::kBusy,
                    fmt::format("guest frame {:#x} cannot be cleared, so it stays", gfn.value));
      std::memset(mapping->frame(i).data(), 0, kFrameSize);
    }
    leaving.insert({gfn, Gfn{gfn.value + 1}});
  }
  *mapping = {};
  return leaving.empty() ? Result<>{} : take_away(leaving);
}

Result<> GuestMemory::replace(const FrameSet& frames, Gfn spare, std::uint64_t keep_free_bytes,
                              const NoteReplaced& note) {
  if (auto done = remove({spare, Gfn{spare.value + kSpareFrames}}); !done) return done;
  FrameSet batch;
  const auto replace_batch = [&]() -> Result<> {
    if (batch.empty()) return {};
    const FrameRange fresh{spare, Gfn{spare.value + batch.frames()}};
    if (auto done = copy_to_spare(batch, fresh, keep_free_bytes); !done) return done;
    if (auto done = note(batch); !done) return done;
    if (auto done = finish_replace(batch, spare); !done) return done;
    batch = {};
    return note(batch);
  };
  for (FrameRange range : frames.ranges())
    for (FrameRange piece{range.begin, range.begin}; piece.end < range.end;) {
      const std::uint64_t room = kSpareFrames - batch.frames();
      piece = {piece.end, Gfn{std::min(piece.end.value + room, range.end.value)}};
      auto present = frames_of_kind(*this, piece, FrameKind::kRam);
      if (!present) return fail(std::move(present));
      batch.insert(*present);
      if (batch.frames() < kSpareFrames) continue;
      if (auto done = replace_batch(); !done) return done;
    }
  return replace_batch();
}

Result<> GuestMemory::copy_to_spare(const FrameSet& frames, FrameRange spare,
                                    std::uint64_t keep_free_bytes) {
  if (auto done = populate({spare}, keep_free_bytes); !done) return done;
  auto fresh = map(spare, Access::kReadWrite);
  if (!fresh) return fail(std::move(fresh));
  auto old = map_all(frames, Access::kRead);
  if (!old) return fail(std::move(old));
  return for_each_frame(*old, [&](const FrameMapping& mapping, std::size_t i, std::size_t number) {
    if (!mapping.present(i) || !fresh->present(number))
      return Result<>(
          fail(ErrorCode::kBusy, fmt::format("guest frame {:#x} or its spare cannot be mapped",
                                             mapping.range().begin.value + i)));
    std::memcpy(fresh->frame(number).data(), mapping.frame(i).data(), kFrameSize);
    return Result<>();
  });
}

// The old memory goes to the host as soon as the spare one is behind its frame and nobody has it
// mapped, so it is cleared while the content is in the spare one. What has no spare one is done.
Result<> GuestMemory::finish_replace(const FrameSet& noted, Gfn spare) {
  auto kinds = this->kinds({spare, Gfn{spare.value + noted.frames()}});
  if (!kinds) return fail(std::move(kinds));
  auto old = map_all(noted, Access::kReadWrite);
  if (!old) return fail(std::move(old));
  return for_each_frame(*old, [&](const FrameMapping& mapping, std::size_t i, std::size_t number) {
    if ((*kinds)[number] == FrameKind::kAbsent) return Result<>();
    const Gfn gfn{mapping.range().begin.value + i};
    if (!mapping.present(i))
      return Result<>(
          fail(ErrorCode::kBusy, fmt::format("guest frame {:#x} cannot be cleared", gfn.value)));
    std::memset(mapping.frame(i).data(), 0, kFrameSize);
    return move_frame(Gfn{spare.value + number}, gfn);
  });
}

Result<> read_guest(const GuestMemory& memory, GuestPhys from, std::span<std::byte> out) {
  std::byte* to = out.data();
  return for_pieces(memory, from, out.size(), Access::kRead, [&](std::span<std::byte> piece) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  });
}

Result<> write_guest(const GuestMemory& memory, GuestPhys to, std::span<const std::byte> data) {
  const std::byte* from = data.data();
  return for_pieces(memory, to, data.size(), Access::kReadWrite, [&](std::span<std::byte> piece) {
    std::memcpy(piece.data(), from, piece.size());
    from += piece.size();
  });
}

Result<FrameSet> frames_of_kind(const GuestMemory& memory, FrameRange range, FrameKind kind) {
  auto kinds = memory.kinds(range);
  if (!kinds) return fail(std::move(kinds));
  FrameSet frames;
  for (std::size_t i = 0; i < kinds->size(); ++i) {
    const Gfn gfn{range.begin.value + i};
    if ((*kinds)[i] == kind) frames.insert({gfn, Gfn{gfn.value + 1}});
  }
  return frames;
}

Result<> zero_guest(const GuestMemory& memory, GuestPhys to, std::uint64_t bytes) {
  return for_pieces(memory, to, bytes, Access::kReadWrite,
                    [](std::span<std::byte> piece) { std::memset(piece.data(), 0, piece.size()); });
}

}  // namespace hadump
