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
};

/// The next step. Each step but kSameWindow is chosen at most once, since the caller notes what it
/// has tried in vain, and note_boot_end() that a larger window was; kSameWindow once for a dump
/// whose saver never begins, and else as often as the crash-loop limit lets it. kKeep is the end.
/// The dump is never given up: kRestart keeps it with its domain, kCapture ends that domain when a
/// file has it, and the others leave it where it is.
///
/// @param history        with the end of the newest boot, note_boot_end().
/// @param boot           its number, DomainRecord::boots.
/// @param limit_reached  the domain crashes too often: the window is over.
/// @param policy         not kByConfiguration, see resolved().
WindowStep next_window_step(const WindowHistory& history, std::uint32_t boot, bool limit_reached,
                            OnWindowFailure policy, const WindowChoices& choices);

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

/// "boot 2 in the window rebooted before the dump was saved", for logs and `hadump list`.
std::string what_happened(const WindowHistory& history, std::uint32_t boot);

/// "a window of 512 MiB instead of 256 MiB was booted then", for `hadump list`; empty when none
/// was.
std::string how_it_grew(const DomainRecord& record);

}  // namespace hadump
