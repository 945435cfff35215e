// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "core/vmcore/byte_file.h"

namespace hadump {

/// Reads a structure of a file format as it lies there. Errors are the file's.
template <typename T>
Result<T> read_struct(const ByteFile& file, std::uint64_t at) {
  T value{};
  if (auto r = file.read_at(std::as_writable_bytes(std::span(&value, 1)), at); !r)
    return fail(std::move(r));
  return value;
}

}  // namespace hadump
