// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstring>

#include "core/dump/format.h"

namespace hadump {
namespace {

static_assert(kChunkFrames * kFrameSize <= kMaxRoomBytes);

/// Calls `put` for the data of each page that has some; for pages that lie together in memory once.
template <typename Put>
Result<> for_each_piece(std::span<const PageOutcome> pages, Put put) {
  std::span<const std::byte> piece;
  for (const PageOutcome& page : pages) {
    if (page.fate != PageFate::kData) continue;
    if (page.data == piece.data() + piece.size()) {
      piece = {piece.data(), piece.size() + page.size};
      continue;
    }
    if (!piece.empty())
      if (auto done = put(piece); !done) return done;
    piece = {page.data, page.size};
  }
  return piece.empty() ? Result<>() : put(piece);
}

std::size_t data_bytes(std::span<const PageOutcome> pages) {
  std::size_t bytes = 0;
  for (const PageOutcome& page : pages)
    if (page.fate == PageFate::kData) bytes += page.size;
  return bytes;
}

void copy_to(const ChunkRoom& one) {
  auto part = one.room.parts.begin();
  std::size_t filled = 0;  // Of that part.
  const auto take = [&](std::span<const std::byte> piece) -> Result<> {
    while (!piece.empty() && part != one.room.parts.end()) {
      const std::span<std::byte> to = part->bytes.subspan(filled);
      const std::size_t bytes = std::min(piece.size(), to.size());
      std::memcpy(to.data(), piece.data(), bytes);
      piece = piece.subspan(bytes);
      filled += bytes;
      if (bytes < to.size()) continue;
      filled = 0;
      ++part;
    }
    return {};
  };
  static_cast<void>(for_each_piece(one.pages, take));
  one.sink->end_data(one.room);
}

}  // namespace

Result<std::uint64_t> put_pages(DumpSink& sink, Chunk& chunk, std::span<const PageOutcome> pages,
                                std::uint64_t offset_of_first) {
  const std::size_t bytes = data_bytes(pages);
  if (bytes == 0) return 0;
  fill_room(chunk);
  auto room = sink.begin_data(offset_of_first, bytes);
  if (!room) return fail(std::move(room));
  if (!room->empty()) {
    chunk.room = {&sink, *room, pages};
    return bytes;
  }
  std::uint64_t offset = offset_of_first;
  auto written = for_each_piece(pages, [&](std::span<const std::byte> piece) {
    auto done = sink.write_data(offset, piece);
    offset += piece.size();
    return done;
  });
  if (!written) return fail(std::move(written));
  return bytes;
}

void fill_room(Chunk& chunk) {
  if (chunk.room) copy_to(*chunk.room);
  chunk.room.reset();
}

}  // namespace hadump
