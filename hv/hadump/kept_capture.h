// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "hv/capture/capture_record.h"
#include "hv/domain/guest_memory.h"
#include "hv/hadump/command.h"
#include "userspace/dump_mount/dump_tree.h"

namespace hadump {

/// A dump as files, and what they are made of.
struct ShownDump {
  std::unique_ptr<GuestMemory> memory;  ///< goes last; null: no domain has a part of it
  std::unique_ptr<DumpTree> tree;
};

/// The record of a capture that a domain was put aside for, and is still there for; else nothing.
std::optional<CaptureRecord> kept_record(const nlohmann::ordered_json& capture);

/// @param state_directory  hadumpd's. @param world  borrowed by the result.
/// @return kNotFound when the domain is gone; the errors of load_facts() and KeptVmcore::open().
Result<ShownDump> open_kept_capture(const CaptureRecord& record, const std::string& state_directory,
                                    const CommandWorld& world);

}  // namespace hadump
