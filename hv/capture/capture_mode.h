// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/save/save.h"
#include "hv/capture/capture_record.h"
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
};

/// One way to capture a domain. A new one is a unit and a row of the table in capture_modes.cc.
struct CaptureMode {
  std::string_view name;
  std::string_view summary;  ///< for help texts
  /// Runs a capture to its end, or continues one that was interrupted.
  /// @param record  in state kExamining or kWriting. Afterwards it says what came of it, but for
  ///                kFailed, which is the caller's to decide.
  Result<> (*run)(const CaptureWorld& world, CaptureRecord& record);
};

}  // namespace hadump
