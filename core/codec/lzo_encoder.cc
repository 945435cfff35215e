// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/lzo_encoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace hadump {
namespace {

static_assert(std::endian::native == std::endian::little, "the words below are put in that order");

// What the format says; kM2 and kM3 are its two kinds of match that a page has use for.
constexpr std::size_t kM2MaxLength = 8;
constexpr std::uint32_t kM2MaxDistance = 0x800;
constexpr std::size_t kM3MaxShortLength = 33;
constexpr std::size_t kMaxInlineLiterals = 3;   // in the low bits of the match before
constexpr std::size_t kMaxShortLiterals = 18;   // by one byte of their own
constexpr std::size_t kMaxFirstLiterals = 238;  // by the very first byte
constexpr std::byte kFirstLiterals{17};
constexpr std::byte kM3{32};
static_assert(kFrameSize <= 0x4000, "a match that is further away needs another kind");

constexpr std::size_t kMinMatch = 4;
/// Positions this near the end start no match: what is read and copied in large steps stays within
/// the page.
constexpr std::size_t kLimit = kFrameSize - 20;
constexpr std::size_t kCopyStep = 16;
/// After so many bytes without a match only every second position is tried,
constexpr std::size_t kPatience = 24;
/// after so many such tries every third, and so on. Counting tries instead of bytes lets the
/// processor compute the next position before it knows how this one ends.
constexpr std::size_t kTriesPerStep = 16;

std::uint32_t load32(const std::byte* at) {
  std::uint32_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
std::uint64_t load64(const std::byte* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

/// What a length has over the largest short one: a byte of zero for every 255.
std::byte* put_excess(std::byte* to, std::size_t excess) {
  for (; excess > 255; excess -= 255) *to++ = std::byte{0};
  *to++ = static_cast<std::byte>(excess);
  return to;
}

/// Any number of literals. @param end  of the page: nothing is read from there on.
std::byte* put_literals(std::byte* to, const std::byte* from, std::size_t count,
                        const std::byte* end, bool first) {
  if (first && count <= kMaxFirstLiterals)
    *to++ = static_cast<std::byte>(static_cast<std::size_t>(kFirstLiterals) + count);
  else if (count <= kMaxInlineLiterals)
    to[-2] |= static_cast<std::byte>(count);
  else if (count <= kMaxShortLiterals)
    *to++ = static_cast<std::byte>(count - kMaxInlineLiterals);
  else {
    *to++ = std::byte{0};
    to = put_excess(to, count - kMaxShortLiterals);
  }
  if (static_cast<std::size_t>(end - from) < count + kCopyStep) {
    std::memcpy(to, from, count);
    return to + count;
  }
  for (std::size_t i = 0; i < count; i += kCopyStep) std::memcpy(to + i, from + i, kCopyStep);
  return to + count;
}

/// 1 to kCopyStep literals, or none, after a match; no branch on how many.
/// @pre kCopyStep bytes of the page can be read from `from` on.
std::byte* put_few_literals(std::byte* to, const std::byte* from, std::size_t count) {
  const bool is_inline = count <= kMaxInlineLiterals;
  to[-2] |= static_cast<std::byte>(is_inline ? count : 0);
  *to = static_cast<std::byte>(count - kMaxInlineLiterals);
  to += is_inline ? 0 : 1;
  std::memcpy(to, from, kCopyStep);
  return to + count;
}

/// @param distance_less_one  below kFrameSize. @pre length <= kM3MaxShortLength.
std::byte* put_short_match(std::byte* to, std::size_t length, std::uint32_t distance_less_one) {
  const std::uint32_t d = distance_less_one;
  const auto l = static_cast<std::uint32_t>(length);
  const bool is_m2 = length <= kM2MaxLength && d < kM2MaxDistance;
  const std::uint32_t m2 = (l - 1) << 5 | (d & 7) << 2 | (d >> 3) << 8;
  const std::uint32_t m3 = static_cast<std::uint32_t>(kM3) | (l - 2) | d << 10;
  const std::uint32_t word = is_m2 ? m2 : m3;
  std::memcpy(to, &word, sizeof(word));
  return to + (is_m2 ? 2 : 3);
}

std::byte* put_match(std::byte* to, std::size_t length, std::uint32_t distance_less_one) {
  if (length <= kM3MaxShortLength) {
    *to++ = kM3 | static_cast<std::byte>(length - 2);
  } else {
    *to++ = kM3;
    to = put_excess(to, length - kM3MaxShortLength);
  }
  *to++ = static_cast<std::byte>(distance_less_one << 2);
  *to++ = static_cast<std::byte>(distance_less_one >> 6);
  return to;
}

/// How many bytes from `a` and `b` (the earlier one) on are equal, up to `end`.
std::size_t equal_bytes(const std::byte* a, const std::byte* b, const std::byte* end) {
  const std::byte* const begin = a;
  for (; end - a >= 8; a += 8, b += 8) {
    const std::uint64_t differs = load64(a) ^ load64(b);
    if (differs != 0)
      return static_cast<std::size_t>(a - begin) +
             static_cast<std::size_t>(std::countr_zero(differs)) / 8;
  }
  for (; a < end && *a == *b; ++a) ++b;
  return static_cast<std::size_t>(a - begin);
}

}  // namespace

/// Takes the place of `position` in the table; what was there before may be a match.
///
/// A match of just kMinMatch bytes saves a byte at most and costs a wrong prediction or two, so
/// positions are told apart by the five bytes from there on: such a match is found by chance only.
std::size_t LzoEncoder::exchange(std::uint64_t value, std::size_t position) {
  constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  std::uint16_t& slot = table_[(value << 24) * kMultiplier >> (64 - kTableBits)];
  return std::exchange(slot, static_cast<std::uint16_t>(position));
}

bool LzoEncoder::find_match(const std::byte* in, Search& search) {
  auto& [at, match, anchor] = search;
  // More than half of all matches begin at the first two positions, and at which of them is a
  // toss: both are tried at once, which leaves less to be predicted.
  if (at + 1 < kLimit) {
    const std::uint64_t both = load64(in + at);
    const std::size_t match0 = exchange(both, at);
    const std::size_t match1 = exchange(both >> 8, at + 1);
    const bool equal0 = load32(in + match0) == static_cast<std::uint32_t>(both);
    const bool equal1 = load32(in + match1) == static_cast<std::uint32_t>(both >> 8);
    if (equal0 || equal1) {
      match = equal0 ? match0 : match1;
      at += equal0 ? 0 : 1;
      return true;
    }
    at += 2;
  }
  for (const std::size_t stop = std::min(anchor + kPatience, kLimit); at < stop; ++at) {
    const std::uint64_t value = load64(in + at);
    match = exchange(value, at);
    if (load32(in + match) == static_cast<std::uint32_t>(value)) [[unlikely]]
      return true;
  }
  for (std::size_t tries = 2 * kTriesPerStep; at < kLimit; at += tries++ / kTriesPerStep) {
    const std::uint64_t value = load64(in + at);
    match = exchange(value, at);
    if (load32(in + match) != static_cast<std::uint32_t>(value)) [[likely]]
      continue;
    // Positions were passed over: the match may have begun there.
    while (at > anchor && match > 0 && in[at - 1] == in[match - 1]) --at, --match;
    return true;
  }
  return false;
}

std::size_t LzoEncoder::encode(std::span<const std::byte> page, std::span<std::byte> out) {
  const std::byte* const in = page.data();
  const std::byte* const end = in + kFrameSize;
  table_.fill(0);
  std::byte* to = out.data();
  bool first = true;
  Search search;
  while (find_match(in, search)) {
    const std::size_t literals = search.at - search.anchor;
    if (literals <= kCopyStep && !first) [[likely]]
      to = put_few_literals(to, in + search.anchor, literals);
    else
      to = put_literals(to, in + search.anchor, literals, end, first);
    first = false;
    const auto distance_less_one = static_cast<std::uint32_t>(search.at - search.match - 1);
    const std::byte* const a = in + search.at + kMinMatch;
    const std::byte* const b = in + search.match + kMinMatch;
    const std::uint64_t differs = load64(a) ^ load64(b);
    std::size_t length = kMinMatch;
    if (differs != 0) [[likely]] {
      length += static_cast<std::size_t>(std::countr_zero(differs)) / 8;
      to = put_short_match(to, length, distance_less_one);
    } else {
      length += sizeof(differs) + equal_bytes(a + sizeof(differs), b + sizeof(differs), end);
      to = put_match(to, length, distance_less_one);
    }
    search.at += length;
    search.anchor = search.at;
  }
  to = put_literals(to, in + search.anchor, kFrameSize - search.anchor, end, first);
  // An M4 of distance 0 ends it.
  for (const unsigned byte : {17U, 0U, 0U}) *to++ = static_cast<std::byte>(byte);
  return static_cast<std::size_t>(to - out.data());
}

}  // namespace hadump
