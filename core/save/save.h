// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/held_file.h"
#include "core/codec/codec.h"
#include "core/dump/dump_writer.h"
#include "core/dump/output_format.h"
#include "core/dump/sink.h"
#include "core/save/lasting.h"
#include "core/save/region_releaser.h"
#include "core/vmcore/source.h"

namespace hadump {

/// What is wanted of a save.
struct SaveOptions {
  std::vector<std::string> to;
  /// Partial dumps of the same crash, for what has been released since.
  std::vector<std::string> with;
  const OutputFormat* format = &output_formats().front();
  CodecChoice codec;
  std::vector<unsigned> levels{0};  ///< The first, then what to fall back to on a full target.
  unsigned threads = 0;
  std::uint64_t portion_bytes = 256_MiB;
  bool release = true;
  bool release_lost = false;  ///< Give up frames that could not be read.
  /// Save the rest when what was released before cannot be found; the dump is incomplete then.
  bool without_earlier = false;
  /// Release memory even when the target will not outlast the next boot.
  bool volatile_target = false;
  /// Nothing is released, but whoever saves ends what has the memory once the dump is whole: such a
  /// dump must last as one that memory is released for.
  bool memory_ends = false;
  /// A file that has the target's name is replaced when the dump is complete. @pre vmcore_given
  bool force = false;
  bool wait = false;                                ///< While another process saves the same dump.
  std::vector<std::string> vmcore{"/proc/vmcore"};  ///< One file, or the parts of a split one.
  bool vmcore_given = false;  ///< A file of the user's: nothing waits, nothing is released.
  int ack_fd = -1;            ///< With --to -: where the peer says how much of it is safe.
  /// To SaveSeams::open_host instead of standard output. @pre to is "-".
  bool to_host = false;
};

/// What is known of the dump that waits.
struct WaitingDump {
  std::string dump_id;           ///< 32 hex digits.
  std::string mode;              ///< "added" or "registered"; empty when not known.
  std::uint64_t crash_time = 0;  ///< Seconds since 1970 by the host's clock; 0 when not known.
  std::uint32_t boots = 0;       ///< 1 in the first boot of this dump; 0 when not known.
};

/// How far a save is.
struct SaveProgress {
  DumpProgress dump;
  std::uint64_t bytes_released = 0;
  std::uint64_t bytes_held = 0;
  std::uint64_t kept_unknown = 0;     ///< Frames kept although nothing says what they are for.
  std::string_view phase = "saving";  ///< "saving", "done".
};

/// Where a save says what it does.
///
/// Implementations: ConsoleReporter (userspace/cli).
class SaveReporter {
 public:
  virtual ~SaveReporter() = default;
  virtual void info(const std::string& text) = 0;
  /// Something went wrong, and the save goes on.
  virtual void warn(const std::string& text) = 0;
  /// Once, before anything is written: what the files of the finished dump are called.
  virtual void located(const std::vector<std::string>& files) = 0;
  /// Called some ten times a second.
  virtual void progress(const SaveProgress& now) = 0;
  /// Once, when the dump is whole and what can be given back is.
  virtual void finished(const SaveProgress& end) = 0;
};

/// The world of a save. Of a save of a file (SaveOptions::vmcore_given) the dump that waits, if
/// any, is not a part.
struct SaveSeams {
  /// Borrowed; null when no dump waits.
  RegionReleaser* releaser = nullptr;
  /// Nothing when no dump waits; its node otherwise.
  std::optional<WaitingDump> dump;
  std::string host;
  /// Asked often; true stops the save at the next safe point.
  std::function<bool()> cancelled;
  std::function<Result<std::unique_ptr<VmcoreSource>>(const std::vector<std::string>&)> open_vmcore;
  /// Opens a new file, or continues `partial` beside it when that is not empty.
  std::function<Result<std::unique_ptr<DumpSink>>(const HeldFile& file, const std::string& partial)>
      open_sink;
  /// What the releaser gives back at a time.
  std::uint64_t block_bytes = HADUMP_BLOCK_SIZE;
  /// Where the saves of a dump are noted (SaveRegistry), and who saves it now (SaveLock); empty for
  /// nowhere.
  std::string state_dir;
  const FileSystems* file_systems = &system_file_systems();  ///< Borrowed.
  /// Opens a flattened sink to the host of this guest, which says what is durable there.
  std::function<Result<std::unique_ptr<DumpSink>>()> open_host = {};
};

/// What came of a save.
struct SaveOutcome {
  DumpSummary summary;
  std::uint64_t bytes_released = 0;
  bool released_now = false;          ///< The dump was whole already; only memory was given back.
  std::uint64_t kept_unknown = 0;     ///< Frames kept although nothing says what they are for.
  std::uint64_t bytes_kept_lost = 0;  ///< Still held because they could not be read.
  bool all_back = false;              ///< Nothing is held any more, the save area included.
};

/// Why a save ended early. What it has not made durable is still held.
struct SaveFailure {
  enum class Reason {
    kError,
    kNoDump,        ///< No dump waits (any more).
    kLacksEarlier,  ///< What was released before is in no save that was found. Nothing was changed.
    kTarget,        ///< A dump must not be saved there. Nothing was changed.
    kLocked,        ///< Another process saves this dump. Nothing was changed.
    kFormat,        ///< A dump of this format cannot have this memory. Nothing was changed.
  };
  Error error;
  Reason reason = Reason::kError;
  std::vector<std::string> partial_files;  ///< The readable partial dump; empty when there is none.
};
using SaveResult = tl::expected<SaveOutcome, SaveFailure>;

/// Saves the waiting dump and gives its memory back: plans (save_plan.h), writes (write_dump.h),
/// gives back (give_back.h). One saver for each dump at a time.
SaveResult save_dump(const SaveOptions& options, const SaveSeams& seams, SaveReporter& reporter);

}  // namespace hadump
