// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tests/lab/truth/truth_file.h"

namespace hadump::lab {

/// A saved dump as a comparison sees it.  Not thread-safe.
class DumpReader {
 public:
  virtual ~DumpReader() = default;

  /// No frame of the dump is at or after this one.
  virtual std::uint64_t end() const = 0;

  /// @return whether the dump has the whole frame; then its bytes are in `out`.
  virtual bool read(std::uint64_t frame, std::span<std::byte, kFrameSize> out) = 0;
};

/// An ELF core, read by code of our own.  Throws std::runtime_error, as the others do.
std::unique_ptr<DumpReader> open_elf(const std::string& path);

/// Whatever libkdumpfile opens.
std::unique_ptr<DumpReader> open_kdumpfile(const std::string& path);

/// open_elf() for ELF files, open_kdumpfile() for the rest.
std::unique_ptr<DumpReader> open_dump(const std::string& path);

}  // namespace hadump::lab
