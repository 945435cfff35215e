// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/dump/sink.h"
#include "core/stream/sender.h"

namespace hadump {

/// What the host has of a dump that is sent to it, for whoever outlives the sink.
struct HostCopy {
  std::string file;  ///< Its name on the host; empty until the host has given it one.
  std::uint64_t durable = 0;
  bool whole = false;
};

/// A flattened dump that is sent to the host. What the host has acknowledged is durable.
/// @param sender  open. @param copy  kept up to date.
Result<std::unique_ptr<DumpSink>> open_host_sink(std::unique_ptr<StreamSender> sender,
                                                 std::shared_ptr<HostCopy> copy);

}  // namespace hadump
