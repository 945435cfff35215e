// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace hadump {

/// x86-64 only: a frame is 4 KiB, and so is a page of the guest.
inline constexpr unsigned kFrameShift = 12;
inline constexpr std::size_t kFrameSize = std::size_t{1} << kFrameShift;

inline constexpr std::uint64_t operator""_KiB(unsigned long long n) {
  return n << 10;
}
inline constexpr std::uint64_t operator""_MiB(unsigned long long n) {
  return n << 20;
}
inline constexpr std::uint64_t operator""_GiB(unsigned long long n) {
  return n << 30;
}

/// A guest frame number: guest-physical address divided by kFrameSize. Inside the guest this is
/// what Linux calls a PFN (a PVH or HVM guest's physical addresses are guest-physical).
struct Gfn {
  std::uint64_t value = 0;
  auto operator<=>(const Gfn&) const = default;
};

/// A guest-physical byte address.
struct GuestPhys {
  std::uint64_t value = 0;
  auto operator<=>(const GuestPhys&) const = default;
};

/// A guest kernel virtual address.
struct GuestVirt {
  std::uint64_t value = 0;
  auto operator<=>(const GuestVirt&) const = default;
};

inline constexpr GuestPhys address_of(Gfn gfn) {
  return {gfn.value << kFrameShift};
}
/// The frame that holds the byte at `address`.
inline constexpr Gfn frame_of(GuestPhys address) {
  return {address.value >> kFrameShift};
}

inline constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) {
  return (n + unit - 1) / unit * unit;
}
inline constexpr std::uint64_t round_down(std::uint64_t n, std::uint64_t unit) {
  return n / unit * unit;
}
inline constexpr bool is_aligned(std::uint64_t n, std::uint64_t unit) {
  return n % unit == 0;
}

/// Frames [begin, end), end excluded. Empty when begin == end; begin > end never happens.
struct FrameRange {
  Gfn begin;
  Gfn end;

  constexpr std::uint64_t frames() const { return end.value - begin.value; }
  constexpr std::uint64_t bytes() const { return frames() << kFrameShift; }
  constexpr bool empty() const { return begin == end; }
  constexpr bool contains(Gfn gfn) const { return begin <= gfn && gfn < end; }
  constexpr bool contains(FrameRange other) const {
    return begin <= other.begin && other.end <= end;
  }
  constexpr bool overlaps(FrameRange other) const { return begin < other.end && other.begin < end; }
  auto operator<=>(const FrameRange&) const = default;
};

/// The frames of the byte range [begin, begin + bytes). @pre both are frame-aligned.
inline constexpr FrameRange frames_of_bytes(std::uint64_t begin, std::uint64_t bytes) {
  return {Gfn{begin >> kFrameShift}, Gfn{(begin + bytes) >> kFrameShift}};
}

}  // namespace hadump
