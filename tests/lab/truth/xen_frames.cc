// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lab/truth/xen_frames.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace hadump::lab {
namespace {

using Words = std::array<std::uint32_t, kFrameSize / sizeof(std::uint32_t)>;

// An event word, and what a vCPU's control block has: ready, a reserved word, and 16 queues' heads.
constexpr std::uint32_t kEventMasked = 1U << 30;
constexpr std::uint32_t kEventFlags = 7U << 29;
constexpr std::uint32_t kEventLink = (1U << 17) - 1;
constexpr std::size_t kControlWords = 18;

// Linux lays Xen's shared info page over the first page that is free above the 64 KiB that it
// leaves to firmware (reserve_shared_info()). wc_version to wc_sec_hi of struct shared_info:
constexpr std::uint64_t kSharedInfo = 0x10;
constexpr std::size_t kWallClockBegin = 0xc00;
constexpr std::size_t kWallClockEnd = 0xc10;

constexpr std::uint64_t kFirstMib = 256;
constexpr std::size_t kVcpuInfoBytes =
    64;  // and so aligned; its first byte is evtchn_upcall_pending

Words words_of(FrameBytes bytes) {
  Words words;
  std::memcpy(words.data(), bytes.data(), kFrameSize);
  return words;
}

/// Nothing but flags and links, and most channels were never used.
bool is_event_array(const Words& words) {
  const auto is_word = [](std::uint32_t w) { return (w & ~(kEventFlags | kEventLink)) == 0; };
  return std::ranges::all_of(words, is_word) &&
         std::ranges::count(words, kEventMasked) > std::ssize(words) / 2;
}

bool is_control_block(const Words& words) {
  const auto head = std::span(words).first(kControlWords);
  const auto rest = std::span(words).subspan(kControlWords);
  const auto is_zero = [](std::uint32_t w) { return w == 0; };
  return std::ranges::all_of(rest, is_zero) && !std::ranges::all_of(head, is_zero) &&
         std::ranges::all_of(head, [](std::uint32_t w) { return w <= kEventLink; });
}

bool differs_only_in_wall_clock(FrameBytes before, FrameBytes after) {
  return std::ranges::equal(before.first(kWallClockBegin), after.first(kWallClockBegin)) &&
         std::ranges::equal(before.subspan(kWallClockEnd), after.subspan(kWallClockEnd));
}

}  // namespace

bool may_be_xens(std::uint64_t frame, FrameBytes bytes) {
  const Words words = words_of(bytes);
  return frame < kFirstMib || is_event_array(words) || is_control_block(words);
}

std::optional<const char*> explain_kept(std::uint64_t frame, FrameBytes before, FrameBytes after) {
  if (frame == kSharedInfo && differs_only_in_wall_clock(before, after))
    return "shared info: the wall clock";
  const Words then = words_of(before);
  const Words now = words_of(after);
  if (is_event_array(then) && is_event_array(now)) return "event words: an event was raised";
  if (is_control_block(then) && is_control_block(now)) return "control block: an event was raised";
  return std::nullopt;
}

std::optional<const char*> explain_vcpu_info(std::uint64_t hash_before, FrameBytes after) {
  std::array<std::byte, kFrameSize> bytes;
  std::ranges::copy(after, bytes.begin());
  for (std::size_t at = 0; at < kFrameSize; at += kVcpuInfoBytes) {
    if (bytes[at] != std::byte{1}) continue;
    bytes[at] = std::byte{0};
    if (frame_hash(bytes) == hash_before) return "vcpu_info: an event was raised";
    bytes[at] = std::byte{1};
  }
  return std::nullopt;
}

}  // namespace hadump::lab
