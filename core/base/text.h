// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace hadump {

/// A whole number, hexadecimal with or without "0x", and nothing else. kBadData otherwise.
Result<std::uint64_t> parse_hex(std::string_view text);

/// A whole decimal number and nothing else. kBadData otherwise.
Result<std::uint64_t> parse_decimal(std::string_view text);

/// A size in bytes: decimal with an optional K, M, G or T (powers of 1024; "iB" or "B" may follow),
/// or hexadecimal after "0x". "256M", "1GiB", "0x10000000". kBadData otherwise, also on overflow.
Result<std::uint64_t> parse_size(std::string_view text);

/// "512 B", "1.5 MiB", "256 MiB": three significant digits, powers of 1024.
std::string format_size(std::uint64_t bytes);

}  // namespace hadump
