// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

namespace hadump {

/// What was done to the cap of a domain's processor time; values as CpuUse::cap_percent.
struct CapChange {
  unsigned before = 0;        ///< an admin's
  std::vector<unsigned> set;  ///< ours, in turn; the last one may not have been set yet
  bool operator==(const CapChange&) const = default;
};

}  // namespace hadump
