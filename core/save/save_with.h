// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/child_program.h"
#include "core/save/save.h"

namespace hadump {

/// What is wanted of a save that another program makes.
struct SaveWithOptions {
  std::vector<std::string> words;  ///< The program's path and its arguments. Not empty.
  /// The directory that it writes to. Empty when not known: then it may be any place that one of
  /// its arguments names.
  std::string into;
  bool volatile_target = false;  ///< Whether or not that outlasts the next boot.
  bool wait = false;             ///< While another process saves the same dump.
};

struct SaveWithOutcome {
  std::uint64_t bytes_released = 0;
  bool released_now = false;  ///< The program had done it before; only memory was given back.
  bool all_back = false;
};

/// Why nothing was released.
struct SaveWithFailure {
  enum class Reason {
    kError,
    kNoDump,
    kLacksEarlier,  ///< Memory was released before: the program cannot see it.
    kTarget,        ///< `into` or the program must not be used. Nothing was begun.
    kLocked,        ///< Another process saves this dump. Nothing was begun.
    kNoProgram,     ///< It cannot be started.
    kProgram,       ///< It says that it failed.
    kStopped,       ///< A signal ended it, or asked us to stop.
    kTaken,         ///< Memory was released while it read.
  };
  Error error;
  Reason reason = Reason::kError;
};
using SaveWithResult = tl::expected<SaveWithOutcome, SaveWithFailure>;

/// Runs `call`: run_child_program(), or a test's.
using RunProgram = std::function<Result<ProgramEnd>(const ProgramCall& call)>;

/// Has another program save the waiting dump from /proc/vmcore, and gives all memory back then: it
/// ended with status 0, everything was held from before its start to its end, and what the
/// machine's disks had to write is written (mounted_disks.h). Otherwise nothing is given back.
///
/// That it has succeeded is noted in seams.state_dir before the first release: a save that is
/// killed after that only gives back the rest.
///
/// @param seams  of them: releaser, dump, cancelled, block_bytes, state_dir, file_systems.
SaveWithResult save_with(const SaveWithOptions& options, const SaveSeams& seams,
                         const RunProgram& run, SaveReporter& reporter);

/// Whether `options` can be used here. Changes nothing.
/// @return kBadData for `into` as check_target() says; without it for an argument naming a place
///         which does not last (program_places.h); or for a program that is not an absolute path of
///         an executable file, or that others can change, or the way to it (trusted_path.h). As
///         check_target() and walk_trusted() otherwise.
Result<> check_save_with(const SaveWithOptions& options, const SaveSeams& seams);

}  // namespace hadump
