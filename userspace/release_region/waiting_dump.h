// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// What the dump node says about the waiting dump, as far as the saver uses it.
struct WaitingDump {
  std::string dump_id;           ///< 32 hex digits.
  std::string mode;              ///< "added" or "registered"; empty when not known.
  std::uint64_t crash_time = 0;  ///< Seconds since 1970 by the host's clock; 0 when not known.
  std::uint32_t boots = 0;       ///< 1 in the first boot of this dump; 0 when not known.
};

/// Takes the properties out of a dump node. Source: docs/spec/dump-node.md.
/// A property that is missing or has a wrong length stays at its "not known" value: the dump can be
/// saved without it. @return kBadData for something that is no flattened tree with a dump node.
Result<WaitingDump> parse_dump_node(std::span<const std::byte> blob);

/// Reads `hadump/dump_id` and `hadump/node` below `kernel_dir` ("/sys/kernel").
/// @return kNotFound when no dump waits.
Result<WaitingDump> read_waiting_dump(const std::string& kernel_dir);

}  // namespace hadump
