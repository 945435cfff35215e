// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/base/unique_handle.h"
#include "core/dump/sink.h"

namespace hadump {

/// The flattened form (makedumpfile -F) on a pipe, socket or file descriptor: a 4096-byte header,
/// then records of offset, length and bytes. `makedumpfile -R` puts it together.
///
/// make_durable() is kUnsupported: a pipe promises nothing. The end record, which tells a whole
/// dump from a truncated one, is written by publish().
///
/// @param fd  taken over.
Result<std::unique_ptr<DumpSink>> open_flattened_sink(UniqueFd fd, std::string name);

}  // namespace hadump
