// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/window_failure.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "hv/agent/aftermath.h"

namespace hadump {
namespace {

// Whatever has killed the kernel may have been an accident, once.
constexpr unsigned kFailuresInOneWindow = 1;

std::string_view end_of(ShutdownReason reason, bool stopped) {
  if (stopped) return "made no progress and was stopped";
  switch (reason) {
    case ShutdownReason::kReboot:
      return "rebooted";
    case ShutdownReason::kPoweroff:
      return "powered off";
    case ShutdownReason::kWatchdog:
      return "was ended by its watchdog";
    default:
      return "crashed";
  }
}

bool is_left(WindowStep step, const WindowHistory& history, const WindowChoices& choices) {
  if (history.has_tried(step)) return false;
  switch (step) {
    case WindowStep::kLargerWindow:
      return choices.larger_window;
    case WindowStep::kRescueBoot:  // of the same window, if that can be booted at all
      return choices.rescue_boot && !history.has_tried(WindowStep::kSameWindow);
    case WindowStep::kRestart:
      return choices.restart;
    case WindowStep::kCapture:
      return choices.capture;
    case WindowStep::kSameWindow:
    case WindowStep::kKeep:
      break;
  }
  return false;
}

}  // namespace

Result<OnWindowFailure> parse_on_window_failure(const std::string& text) {
  if (text == "restart") return OnWindowFailure::kRestart;
  if (text == "capture") return OnWindowFailure::kCapture;
  if (text == "keep") return OnWindowFailure::kKeep;
  return fail(ErrorCode::kBadData, fmt::format("'{}' is not restart, capture or keep", text));
}

WindowStep next_window_step(const WindowHistory& history, std::uint32_t boot, bool limit_reached,
                            OnWindowFailure policy, const WindowChoices& choices) {
  const bool saving = boot != 0 && history.saving == boot;
  // Once another way was tried, the window has had its chance.
  if (!limit_reached && history.tried.empty() && (saving || history.failed <= kFailuresInOneWindow))
    return WindowStep::kSameWindow;
  if (!limit_reached && !saving && is_left(WindowStep::kLargerWindow, history, choices))
    return WindowStep::kLargerWindow;
  if (!limit_reached && is_left(WindowStep::kRescueBoot, history, choices))
    return WindowStep::kRescueBoot;
  if (policy == OnWindowFailure::kKeep) return WindowStep::kKeep;
  if (policy == OnWindowFailure::kRestart && is_left(WindowStep::kRestart, history, choices))
    return WindowStep::kRestart;
  // The guest is down otherwise, and its dump is as safe in a file.
  if (is_left(WindowStep::kCapture, history, choices)) return WindowStep::kCapture;
  return WindowStep::kKeep;
}

bool is_rescue_boot(WindowStep step, const WindowHistory& history, const WindowChoices& choices) {
  if (step == WindowStep::kRescueBoot) return true;
  return (step == WindowStep::kSameWindow || step == WindowStep::kLargerWindow) &&
         choices.last_boot && is_left(WindowStep::kRescueBoot, history, choices);
}

OnWindowFailure resolved(OnWindowFailure policy, const DomainConfig& config) {
  if (policy != OnWindowFailure::kByConfiguration) return policy;
  return aftermath_of(config.on_reboot) == Aftermath::kReplaced ? OnWindowFailure::kRestart
                                                                : OnWindowFailure::kKeep;
}

bool saver_has_begun(const GuestProgress& progress) {
  return progress.state == GuestState::kSaving || progress.state == GuestState::kDone ||
         progress.saved_percent.has_value() || !progress.text.empty();
}

bool note_boot_end(WindowHistory& history, std::uint32_t boot, ShutdownReason reason,
                   const GuestProgress& progress) {
  if (history.judged == boot) return false;
  history.judged = boot;
  if (saver_has_begun(progress)) history.saving = boot;
  const bool saving = history.saving == boot;
  if (!saving) ++history.failed;
  if (!saving && history.grown_from != 0) history.note_tried(WindowStep::kLargerWindow);
  if (!saving && history.is_rescue_boot(boot)) history.note_tried(WindowStep::kRescueBoot);
  history.why =
      fmt::format("{} {}", end_of(reason, history.stopped == boot),
                  saving ? "while the dump was being saved" : "before the dump was being saved");
  return true;
}

bool may_hang(const DomainRecord& record, const GuestProgress& progress) {
  return record.step == Step::kStarted && !record.dump_over && record.window.had_module &&
         record.window.saving != record.boots && progress.state == GuestState::kNone &&
         !saver_has_begun(progress);
}

std::string what_happened(const WindowHistory& history, std::uint32_t boot) {
  return fmt::format("boot {} in the window{} {}", boot,
                     history.is_rescue_boot(boot) ? ", a rescue boot," : "",
                     history.why.empty() ? "failed" : history.why);
}

std::string what_followed(const DomainRecord& record) {
  const WindowHistory& window = record.window;
  std::string text;
  if (window.grown_from != 0)
    text = fmt::format("a window of {} instead of {} was booted then",
                       format_size(record.window_bytes), format_size(window.grown_from));
  if (window.is_rescue_boot(record.boots) && window.judged < record.boots)
    text += fmt::format("{}a rescue boot was begun then", text.empty() ? "" : "; ");
  return text;
}

}  // namespace hadump
