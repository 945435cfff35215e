// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "core/base/error.h"

namespace hadump {

/// The largest number of a domain: DOMID_FIRST_RESERVED - 1, xen/include/public/xen.h.
inline constexpr std::uint64_t kMaxDomid = 0x7fef;

/// A number from outside as a domain's. Xen's calls take the lowest 16 bits of what they are given,
/// so a larger one would name another domain. @return kNotFound for such a number.
inline Result<unsigned> checked_domid(std::uint64_t number) {
  if (number > kMaxDomid)
    return fail(ErrorCode::kNotFound, fmt::format("no domain can have the number {}", number));
  return static_cast<unsigned>(number);
}

}  // namespace hadump
