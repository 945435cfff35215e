// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

/// Kernel images are files of dom0's admin, but a wrong path must end in a sentence, not in a
/// crash of the agent: everything is checked, and nothing larger than this is unpacked.
inline constexpr std::uint64_t kMaxKernelBytes = 512_MiB;

/// An uncompressed ELF kernel with a PVH entry point.
struct KernelImage {
  struct Segment {
    GuestPhys address;
    std::uint64_t memory_bytes = 0;   ///< the part beyond `data` is zero
    std::span<const std::byte> data;  ///< borrowed from the file's bytes
  };
  std::vector<Segment> segments;  ///< in file order
  GuestPhys entry;                ///< of the 32-bit PVH entry (ELF note Xen/PHYS32_ENTRY)

  /// The frames that the segments cover, lowest to highest.
  FrameRange extent() const;
};

/// Reads the program headers of an ELF kernel. The result borrows from `file`.
/// @return kBadData for a broken file, kUnsupported for one without a PVH entry.
Result<KernelImage> parse_kernel(std::span<const std::byte> file);

/// The compressed payload of a bzImage (Linux Documentation/x86/boot.rst, payload_offset).
/// kBadData when it is none.
Result<std::span<const std::byte>> bzimage_payload(std::span<const std::byte> file);

bool is_elf(std::span<const std::byte> file);

/// Decompresses gzip, bzip2, lzma, xz, lz4 (Linux's legacy framing) or zstd, told apart by their
/// first bytes. Trailing bytes (Linux appends the size) are ignored.
/// @return kUnsupported for anything else, kBadData for broken data or more than kMaxKernelBytes.
Result<std::vector<std::byte>> unpack(std::span<const std::byte> data);

/// The ELF kernel inside `file`: itself, or a bzImage's payload unpacked.
Result<std::vector<std::byte>> extract_kernel(std::vector<std::byte> file);

}  // namespace hadump
