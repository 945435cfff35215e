// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

#include "core/codec/codec.h"
#include "core/vmcore/page_filter.h"
#include "core/vmcore/source.h"

namespace hadump {

/// What the sampled pages of one class came to.
struct ClassSample {
  std::uint64_t frames = 0;  ///< All of the class that are in the dump.
  std::uint64_t sampled = 0;
  std::uint64_t absent = 0;  ///< Of the sampled ones: not in the dump after all,
  std::uint64_t zero = 0;    ///< or of zeros.
  std::uint64_t bytes = 0;   ///< Compressed, of those that are neither.
};
using Samples = std::array<ClassSample, kPageClasses>;

/// Looks at some pages of a dump, spread over the memory that it has: what it left out is not
/// written again. @param filter,compressor  null for none.
Result<Samples> take_samples(const VmcoreSource& source, const PageFilter* filter,
                             PageCompressor* compressor);

/// What every kdump-compressed file of this memory has whatever its level is: headers with the
/// notes, both bitmaps where there is memory, the page of zeros.
std::uint64_t dump_table_bytes(const VmcoreLayout& layout);

}  // namespace hadump
