// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hadump {

/// An integer with a fixed byte order and no alignment need, for file and node layouts: the
/// struct that holds it is the format, and reading a field cannot forget the conversion.
template <std::unsigned_integral T, bool kBig>
class EndianInt {
 public:
  EndianInt() = default;
  EndianInt(T value) { *this = value; }  // NOLINT: implicit on purpose, it is an integer
  EndianInt& operator=(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bytes_[kBig ? sizeof(T) - 1 - i : i] = static_cast<std::uint8_t>(value >> (8 * i));
    return *this;
  }
  operator T() const {  // NOLINT: as above
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = static_cast<T>(value |
                             static_cast<T>(T{bytes_[kBig ? sizeof(T) - 1 - i : i]} << (8 * i)));
    return value;
  }

 private:
  std::array<std::uint8_t, sizeof(T)> bytes_{};
};

using be16 = EndianInt<std::uint16_t, true>;
using be32 = EndianInt<std::uint32_t, true>;
using be64 = EndianInt<std::uint64_t, true>;
using le32 = EndianInt<std::uint32_t, false>;
using le64 = EndianInt<std::uint64_t, false>;
static_assert(sizeof(be64) == 8 && alignof(be64) == 1);

}  // namespace hadump
