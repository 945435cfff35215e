// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// What can be done when a boot in the window has failed. hv/agent/window_failure.h chooses.
enum class WindowStep : std::uint8_t {
  kSameWindow,    ///< the same boot once more
  kLargerWindow,  ///< a boot in more memory
  kRescueBoot,    ///< a boot whose initramfs saves the dump, before the system starts
  kRestart,       ///< the domain is put aside with its dump, and another one takes its place
  kCapture,       ///< the host writes the dump, and another domain takes its place
  kKeep,          ///< the domain stays down, with its dump, for the admin
};
std::string_view to_string(WindowStep step);
/// kBadData for a word that is none.
Result<WindowStep> parse_window_step(std::string_view text);

/// How the boots of one dump in the window have gone. A part of DomainRecord; a record without it
/// is one of an older release, and as if nothing had failed yet.
struct WindowHistory {
  /// The guest had registered when it crashed first, so its next kernel will say that it is there.
  bool had_module = false;
  unsigned failed = 0;        ///< boots that ended before a saver had begun
  std::uint32_t judged = 0;   ///< the newest boot (DomainRecord::boots) that is counted, or was not
  std::uint32_t saving = 0;   ///< the newest boot in which a saver had begun
  std::uint32_t stopped = 0;  ///< the newest boot that hadumpd ended, since it made no progress
  bool can_rescue = false;    ///< the guest that crashed first could be given a rescue boot
  std::uint32_t rescue_since = 0;   ///< this boot and all later ones are rescue boots; 0: none is
  std::uint64_t grown_from = 0;     ///< bytes of the window before it became larger; 0: it has not
  std::vector<WindowStep> tried{};  ///< in vain, other than kSameWindow; each once, in order
  std::string why{};                ///< what became of the newest boot that failed; may be empty

  bool is_rescue_boot(std::uint32_t boot) const {
    return rescue_since != 0 && boot >= rescue_since;
  }
  bool has_tried(WindowStep step) const;
  void note_tried(WindowStep step);
  bool operator==(const WindowHistory&) const = default;
};

}  // namespace hadump
