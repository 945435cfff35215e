// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hadump {

/// A number at the beginning of a parameter's value, and what follows it.
struct KernelNumber {
  std::uint64_t value;
  std::string_view rest;
};

/// As Linux reads it (lib/cmdline.c, memparse(); simple_strtoul()): decimal, hexadecimal after 0x,
/// octal after 0. @param with_unit  K, M, G, T, P or E may follow, and is part of the number.
/// @return nothing when there is no digit, or the number does not fit.
std::optional<KernelNumber> parse_kernel_number(std::string_view text, bool with_unit);

}  // namespace hadump
