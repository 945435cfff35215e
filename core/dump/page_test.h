// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>

namespace hadump {

/// True when every byte is zero. Built for pages that are not: those are told by their first bytes.
/// @pre page.size() is a multiple of 64 and page.data() is aligned to 8.
bool is_zero_page(std::span<const std::byte> page);

/// True when a sample of the bytes is spread as evenly as random (encrypted, already compressed)
/// data is. Costs a tenth of the fastest codec. A page with long repeats of random-looking bytes is
/// misjudged; that costs space, never correctness.
/// @pre page.size() >= 1024.
bool looks_incompressible(std::span<const std::byte> page);

}  // namespace hadump
