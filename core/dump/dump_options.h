// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/codec/codec.h"
#include "core/dump/output_format.h"
#include "core/dump/progress.h"

namespace hadump {

/// What has become of memory that was read.
enum class ReadCheck : std::uint8_t {
  kValid,
  kStaleAhead,  ///< What was asked about is valid; other memory may have changed since it was read.
  kStale,       ///< What was asked about may have changed before it was read.
};

struct DumpOptions {
  const OutputFormat* format = &output_formats().front();
  CodecChoice codec;        ///< Ignored for a format without compression.
  unsigned workers = 0;     ///< Compressing threads; 0 is one for each CPU this process may use.
  unsigned dump_level = 0;  ///< 0 to kMaxDumpLevel.
  /// Called on the caller's thread inside write_portion(), some ten times a second; may be empty.
  std::function<void(const DumpProgress&)> on_progress;
  /// Asked before every chunk (512 KiB); true ends write_portion() with kCancelled. May be empty.
  std::function<bool()> cancelled;
  /// Asked when frames have been read, before any of them is made durable: whether they could be
  /// read all that time. kStale has them read and written once more. Workers read ahead, so
  /// whatever is not valid costs what they have read of the frames that follow. An error is passed
  /// on by write_portion(). May be empty.
  std::function<Result<ReadCheck>(const FrameSet& read)> still_valid;
};

}  // namespace hadump
