// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/dump/dump_options.h"

namespace hadump {

inline constexpr unsigned kMaxDumpWorkers = 1024;

/// Whether a dump of these frames can be written at all. @return as DumpWriter::create().
Result<> check_dump(const FrameSet& frames, const DumpOptions& options, std::size_t sinks);

}  // namespace hadump
