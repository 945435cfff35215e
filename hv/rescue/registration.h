// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "hv/domain/domain.h"
#include "hv/rescue/dump_node.h"
#include "hv/rescue/window_plan.h"

namespace hadump {

/// What a guest claims about itself, as far as it could be checked without its memory.
struct Registration {
  std::optional<PhysRange> vmcoreinfo;
  std::optional<GuestVirt> page_offset;
  SaveMode mode = SaveMode::kAdded;
  FrameRange save_area;     ///< empty unless mode is kRegistered
  bool can_rescue = false;  ///< its initramfs heeds HADUMP_PARAM_RESCUE
};

/// Checks a registration (docs/abi/xenstore.md, the "checked" column). The guest is hostile.
/// @param reserve  bytes that a registered save area must have.
/// @return kBadData with a sentence for the log: the whole registration is then to be ignored.
///         kNotFound when there is none (no `version`).
Result<Registration> check_registration(const GuestKeys& keys, const FrameSet& ram,
                                        const WindowPlan& plan, std::uint64_t reserve);

enum class GuestState : std::uint8_t { kNone, kRegistered, kWaiting, kSaving, kDone };
std::string_view to_string(GuestState state);

/// What a guest says about the dump that waits in it.
struct GuestProgress {
  GuestState state = GuestState::kNone;
  std::string dump_id;  ///< 32 hex digits or empty
  std::optional<std::uint64_t> held_bytes;
  std::optional<unsigned> saved_percent;  ///< of the dump, from `text`
  std::string text;                       ///< printable
  std::uint64_t boot_bytes = 0;           ///< what its boot has taken; 0: it has not said
};
/// Anything malformed is left out.
GuestProgress check_progress(const GuestKeys& keys, const FrameSet& ram);

}  // namespace hadump
