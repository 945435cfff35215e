// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <sstream>
#include <string>

#include "core/dump/file_sink.h"
#include "core/vmcore/open.h"
#include "tests/fakes/save/fake_machine.h"
#include "tests/fakes/save/power_cut_sink.h"
#include "tests/unit/core/save/temporary_directory.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/run_save.h"

namespace hadump {

/// A disk that is never full.
inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct SaveRun {
  int exit_code = 0;
  std::string messages;
};

/// Runs one save on a fake machine, in this process.
/// @param on_open  called when a file of the dump has been opened.
/// @param open_host  SaveSeams::open_host.
inline SaveRun save_here(FakeMachine& machine, const SaveOptions& options,
                         std::uint64_t capacity = kNoLimit, const std::string& state_dir = "",
                         int location_fd = -1, const std::function<void()>& on_open = {},
                         const decltype(SaveSeams::open_host)& open_host = {}) {
  std::ostringstream messages;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(messages));
  log.set_pattern("%l: %v");
  const SteadyClock clock;
  auto releaser = machine.releaser();
  const WaitingDump dump{std::string(32, 'a'), "added", 1'000'000'000, 1};
  const SaveSeams seams{
      releaser.get(),
      machine.all_back() ? std::nullopt : std::optional(dump),
      "guest",
      {},
      [&](const std::vector<std::string>& paths) -> Result<std::unique_ptr<VmcoreSource>> {
        if (paths.front() == "/proc/vmcore") return machine.vmcore();
        return open_vmcore(paths);
      },
      [&](const HeldFile& wanted, const std::string& partial) -> Result<std::unique_ptr<DumpSink>> {
        auto file = partial.empty() ? open_file_sink(wanted) : reopen_file_sink(partial, wanted);
        if (!file) return file;
        if (on_open) on_open();
        return std::make_unique<PowerCutSink>(
            std::move(*file), [&machine] { machine.event(); }, capacity);
      },
      FakeMachine::kBlockFrames* kFrameSize,
      state_dir,
      &system_file_systems(),
      open_host};
  std::ostringstream out;
  const int exit_code = run_save({false, options, ProgressMode::kNone, "", false, location_fd},
                                 seams, {log, clock, {out, out, false}});
  return {exit_code, messages.str()};
}

/// The same in a child, which may be killed by its machine. @return the exit code.
inline int save_in_child(FakeMachine& machine, const SaveOptions& options,
                         const std::string& state_dir = "") {
  const pid_t child = ::fork();
  if (child == 0) {
    const SaveRun run = save_here(machine, options, kNoLimit, state_dir);
    if (run.exit_code != kExitOk)
      static_cast<void>(!::write(2, run.messages.data(), run.messages.size()));
    ::_exit(run.exit_code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline SaveOptions save_options(const std::string& to, const OutputFormat* format) {
  SaveOptions options;
  options.to = {to};
  options.format = format;
  if (format->is_compressed) options.codec = {find_codec("zstd")};
  options.threads = 1;
  options.portion_bytes = 1_MiB;
  options.volatile_target = true;  // The tests' directories are in memory.
  return options;
}

/// Compares the dump in `paths` (several for a striped one) with the truth about `frames`.
inline void expect_truth(const std::vector<std::string>& paths, const FakeMachine& machine,
                         const FrameSet& frames) {
  auto dump = open_vmcore(paths);
  ASSERT_TRUE(dump) << dump.error().what();
  std::vector<std::byte> truth(kFrameSize);
  std::vector<std::byte> found(kFrameSize);
  std::uint64_t wrong = 0;
  for (FrameRange range : frames.ranges())
    for (Gfn gfn = range.begin; gfn < range.end; gfn = Gfn{gfn.value + 1}) {
      FrameStatus status = FrameStatus::kFailed;
      const auto read = (*dump)->read(gfn, found, {&status, 1});
      ASSERT_TRUE(read) << read.error().what();
      machine.truth(gfn, truth);
      // Not std::equal(): not optimised, that takes longer than the save.
      const bool same = std::memcmp(found.data(), truth.data(), kFrameSize) == 0;
      if (status != FrameStatus::kRead || !same) ++wrong;
    }
  EXPECT_EQ(wrong, 0U) << paths.front();
}

}  // namespace hadump
