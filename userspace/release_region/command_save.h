// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/dump/codec.h"
#include "core/dump/sink.h"
#include "core/save/clock.h"
#include "core/save/region_releaser.h"
#include "core/vmcore/source.h"
#include "userspace/cli/progress_reporter.h"
#include "userspace/cli/streams.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {

enum class OutputFormat { kElf, kKdump, kFlattened };

struct SaveOptions {
  bool help = false;
  std::vector<std::string> to;
  /// Partial dumps of the same crash, for what has been released since.
  std::vector<std::string> with;
  OutputFormat format = OutputFormat::kKdump;
  CodecChoice codec;
  std::vector<unsigned> levels{0};  ///< The first, then what to fall back to on a full target.
  unsigned threads = 0;
  std::uint64_t portion_bytes = 256_MiB;
  bool release = true;
  bool release_lost = false;  ///< Give up frames that could not be read.
  /// Save the rest when what was released before cannot be found; the dump is incomplete then.
  bool without_earlier = false;
  ProgressMode progress = ProgressMode::kAuto;
  std::string log_to;
  std::vector<std::string> vmcore{"/proc/vmcore"};  ///< One file, or the parts of a split one.
  bool vmcore_given = false;  ///< A file of the user's: nothing waits, nothing is released.
  int ack_fd = -1;            ///< With --to -: where the peer says how much of it is safe.
};

Result<SaveOptions> parse_save(const std::vector<std::string>& args);
std::string help_save();

/// The world of a save. References are borrowed. Of a save of a file (--vmcore) the dump that
/// waits, if any, is no part.
struct SaveSeams {
  /// Null when no dump waits.
  RegionReleaser* releaser = nullptr;
  /// Nothing when no dump waits; its node otherwise.
  std::optional<WaitingDump> dump;
  std::string host;
  const Clock& clock;
  spdlog::logger& log;
  /// Asked often; true stops the save at the next safe point.
  std::function<bool()> cancelled;
  std::function<Result<std::unique_ptr<VmcoreSource>>(const std::vector<std::string>&)> open_vmcore;
  /// Opens a new file for `path`, or goes on with `partial` when that is not empty.
  std::function<Result<std::unique_ptr<DumpSink>>(const std::string& path,
                                                  const std::string& partial)>
      open_sink;
  /// What the module gives back at a time.
  std::uint64_t block_bytes = HADUMP_BLOCK_SIZE;
  /// Where the saves of a dump are noted (SaveRegistry); empty for nowhere.
  std::string state_dir;
};

/// Saves the waiting dump and gives its memory back; see help_save() and release-region(8).
/// @return exit status, an ExitCode.
int run_save(const SaveOptions& options, const SaveSeams& seams, Streams io);

}  // namespace hadump
