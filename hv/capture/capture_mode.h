// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/save/lasting.h"
#include "core/save/save.h"
#include "hv/capture/capture_record.h"
#include "hv/capture/live_plan.h"
#include "hv/capture/page_image.h"
#include "hv/domain/domain_vmcore.h"
#include "hv/domain/host.h"

namespace hadump {

/// The world of one capture. Borrowed; the functions may be called on the capture's thread only.
struct CaptureWorld {
  OpenDomain& domain;
  const DomainConfig& config;
  std::string host_name;
  /// Where a save of the dump is noted and locked (SaveSeams::state_dir).
  std::string state_directory;
  /// Writes the record down: what follows may rely on it.
  std::function<Result<>(const CaptureRecord&)> note;
  std::function<void(const SaveProgress&)> progress;
  std::function<void(const std::string&)> info;
  std::function<void(const std::string&)> warn;
  /// True ends the capture with kCancelled at the next safe point; another run continues it.
  std::function<bool()> cancelled;
  std::function<std::uint64_t()> wall_ms;
  const FileSystems* file_systems = &system_file_systems();

  // What a mode needs that replaces the domain at once.
  Host& host;
  std::uint64_t keep_free_bytes = 0;  ///< of the host's memory, whatever is given to a domain
  std::uint64_t min_successor_bytes = 256_MiB;  ///< or all that it is described with
  std::chrono::milliseconds backend_deadline{10000};
  /// Shows how much of the old domain's memory the host has back.
  std::function<void(std::uint64_t bytes)> given_back = [](std::uint64_t) {};
  /// Looks at the dump that waits in the domain, for a record that is about one.
  std::function<Result<WaitingMemory>()> waiting_memory{};
  /// Writes down that hadumpd looks after the successor. @param domid  0: it is about to be
  /// created.
  std::function<Result<>(unsigned domid)> own_successor{};

  // What a mode needs whose domain runs.
  std::function<std::chrono::microseconds()> monotonic = [] {
    return std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
  };
  /// Shows how far the copy of its memory is.
  std::function<void(const LiveProgress&)> tracked = [](const LiveProgress&) {};
  /// For tests: a step was reached that no record tells of.
  std::function<void(std::string_view)> passed = [](std::string_view) {};
  /// Room at the target.
  std::function<Result<std::uint64_t>(const HeldFile&)> free_bytes = free_bytes_beside;
};

/// One way to capture a domain. A new one is a unit and a row of the table in capture_modes.cc.
struct CaptureMode {
  std::string_view name;
  std::string_view summary;  ///< for help texts
  /// Runs a capture to its end, or continues one that was interrupted.
  /// @param record  in state kExamining or kWriting. Afterwards it says what came of it, but for
  ///                kFailed, which is the caller's to decide.
  Result<> (*run)(const CaptureWorld& world, CaptureRecord& record);
  bool replaces = false;  ///< another domain takes its place, whatever the order says
};

}  // namespace hadump
