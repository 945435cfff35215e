// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/check_dump.h"

#include <fmt/format.h>

#include "core/dump/format.h"

namespace hadump {
namespace {

/// x86-64 has 52 bits of physical address.
constexpr std::uint64_t kMaxFrames = std::uint64_t{1} << (52 - kFrameShift);
/// A guest's memory has as many pieces as its balloon left; what is still held, a few more for
/// every block.
constexpr std::size_t kMaxRanges = std::size_t{1} << 20;

}  // namespace

Result<> check_dump(const FrameSet& frames, const DumpOptions& options, std::size_t sinks) {
  if (frames.empty()) return fail(ErrorCode::kBadData, "there is nothing to dump");
  if (frames.ranges().back().end.value > kMaxFrames)
    return fail(ErrorCode::kBadData, "a frame is past the largest physical address");
  if (frames.ranges().size() > kMaxRanges)
    return fail(ErrorCode::kUnsupported, "memory has too many holes for a dump");
  if (options.dump_level > kMaxDumpLevel)
    return fail(ErrorCode::kBadData, "the dump level is over 31");
  if (options.workers > kMaxDumpWorkers) return fail(ErrorCode::kBadData, "too many workers");
  if (sinks == 0 || sinks > kMaxDumpFiles)
    return fail(ErrorCode::kBadData, fmt::format("a dump takes 1 to {} files", kMaxDumpFiles));
  if (sinks > options.format->max_files)
    return fail(ErrorCode::kUnsupported,
                fmt::format("a dump in the format {} cannot be striped over {} files",
                            options.format->name, sinks));
  return {};
}

}  // namespace hadump
