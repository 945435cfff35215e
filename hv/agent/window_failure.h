// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"
#include "hv/domain/domain_config.h"
#include "hv/rescue/record.h"
#include "hv/rescue/registration.h"

namespace hadump {

// What comes next when a guest has died again in its window, with the dump of its first crash still
// in it. A boot has *failed* when it ended before a saver had begun; a crash after that is a second
// crash (docs/spec/save-area.md), which the crash-loop limit bounds.

/// The policy `on-window-failure`.
enum class OnWindowFailure : std::uint8_t {
  kByConfiguration,  ///< kRestart where the domain's on_reboot makes another domain, else kKeep
  kRestart,
  kCapture,
  kKeep,
};
/// kBadData unless "restart", "capture" or "keep".
Result<OnWindowFailure> parse_on_window_failure(const std::string& text);

/// What is possible now.
struct WindowChoices {
  bool larger_window = false;
  bool restart = false;
  bool capture = false;
  bool rescue_boot = false;
  bool last_boot = false;  ///< the crash-loop limit allows one boot more, and no other
};

/// The next step. Each step but kSameWindow and kRescueBoot is chosen at most once, since the
/// caller notes what it has tried in vain, and note_boot_end() that a larger window or a rescue
/// boot was; these two once for a dump whose saver never begins, and else as often as the
/// crash-loop limit lets them. kKeep is the end.
/// The dump is never given up: kRestart keeps it with its domain, kCapture ends that domain when a
/// file has it, and the others leave it where it is.
///
/// @param history        with the end of the newest boot, note_boot_end().
/// @param boot           its number, DomainRecord::boots.
/// @param limit_reached  the domain crashes too often: the window is over.
/// @param policy         not kByConfiguration, see resolved().
WindowStep next_window_step(const WindowHistory& history, std::uint32_t boot, bool limit_reached,
                            OnWindowFailure policy, const WindowChoices& choices);

/// Whether the boot that such a step brings is to be a rescue boot: kRescueBoot's is, and so is any
/// other that is the last one, which is the last chance of the guest to save its dump itself.
bool is_rescue_boot(WindowStep step, const WindowHistory& history, const WindowChoices& choices);

/// The policy, where it depends on the domain's configuration. A domain that hadumpd watches has
/// on_crash="preserve"; what its admin wants of a kernel that cannot go on is what on_reboot says.
OnWindowFailure resolved(OnWindowFailure policy, const DomainConfig& config);

/// Whether a guest's words prove that a saver has begun in this boot.
bool saver_has_begun(const GuestProgress& progress);

/// Notes the end of the boot, once. @param progress  the guest's last words.
/// @param reason  why the domain shut down.
/// @return whether this was news.
bool note_boot_end(WindowHistory& history, std::uint32_t boot, ShutdownReason reason,
                   const GuestProgress& progress);

/// Whether a boot that runs may be taken for one that hangs: its kernel should have loaded the
/// module, and has not. What follows the module is userspace, and is never ended: it may wait for
/// an admin, or have no saver by choice.
bool may_hang(const DomainRecord& record, const GuestProgress& progress);

/// "boot 2 in the window rebooted before the dump was saved", for logs and `hadump list`. Says so
/// when it was a rescue boot.
std::string what_happened(const WindowHistory& history, std::uint32_t boot);

/// What has been done since about boots that failed, for `hadump list`: "a window of 512 MiB
/// instead of 256 MiB was booted then", "a rescue boot was begun then"; empty when only the same
/// window was booted.
std::string what_followed(const DomainRecord& record);

}  // namespace hadump
