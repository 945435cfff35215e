// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker does about boots in the window that fail, or that hang.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/base/text.h"
#include "hv/agent/crash_limit.h"
#include "hv/agent/window_failure.h"
#include "hv/capture/capture_modes.h"
#include "hv/hadumpd/capture_order.h"
#include "hv/hadumpd/caretaker.h"

namespace hadump {
namespace {

// Until then, what was read last of the guest may be its last kernel's words.
constexpr std::chrono::seconds kNewsAreOfThisBoot{5};

}  // namespace

// The words of the boot that the record is about; none that may be an earlier kernel's.
GuestProgress Caretaker::last_words(unsigned domid, const Ward& ward,
                                    const DomainRecord& record) const {
  // A boot begins without keys: those read after its end are its own.
  if (ward.end && ward.end->words == GuestEnd::Words::kHeard) return progress(domid, ward);
  const bool is_new = ward.boot.id != record.started_ms || ward.boot.lived < kNewsAreOfThisBoot;
  if (ward.boot.id != 0 && is_new) return {};
  return progress(domid, ward);
}

// A dump waits, and the guest has ended before it was saved.
// @return whether the window is booted again, and nothing else is to be done.
bool Caretaker::see_to_window_end(const DomainStatus& status, Ward& ward, DomainRecord& record,
                                  const Result<>& counted) {
  const GuestProgress words = last_words(status.domid, ward, record);
  if (note_boot_end(record.window, record.boots, status.reason, words)) {
    record.noticed_ms = world_.wall_ms();
    spdlog::warn("domain {} ({}): {}", status.domid, ward.config.name,
                 what_happened(record.window, record.boots));
  }
  const OnWindowFailure policy = resolved(ward.policy.on_window_failure, ward.config);
  const WindowChoices choices = window_choices(ward, record);
  const WindowStep step = next_window_step(record.window, record.boots, !counted, policy, choices);
  if (!counted) record.error = counted.error().what();
  world_.book.note(record);
  ward.larger_window = step == WindowStep::kLargerWindow ? larger_window_for(ward, record) : 0;
  ward.rescue_boot = is_rescue_boot(step, record.window, choices);
  if (step == WindowStep::kSameWindow || step == WindowStep::kRescueBoot ||
      ward.larger_window != 0) {
    log_next_boot(status, ward, record, step);
    return true;
  }
  const std::string why =
      counted ? what_happened(record.window, record.boots) : counted.error().what();
  if (step == WindowStep::kKeep) {
    std::string tried;
    for (WindowStep one : record.window.tried) tried += fmt::format(", {} failed", to_string(one));
    if (!tried.empty() && !record.error.empty()) tried += fmt::format(" ({})", record.error);
    give_up(status.domid, ward,
            fmt::format("{}{}; its dump is kept in it. Write it out with `hadump capture`, or boot "
                        "it again with `hadump trigger`",
                        why, tried));
    return false;
  }
  leave_window(status.domid, ward, record, step, why);
  return false;
}

void Caretaker::log_next_boot(const DomainStatus& status, const Ward& ward,
                              const DomainRecord& record, WindowStep step) const {
  const std::string who = fmt::format("domain {} ({})", status.domid, ward.config.name);
  const std::string what = what_happened(record.window, record.boots);
  const char* rescue = "a rescue boot: its initramfs saves the dump before the system starts";
  if (step == WindowStep::kLargerWindow)
    spdlog::warn("{}: {}; booting it in a larger window, of {} instead of {}{}{}", who, what,
                 format_size(ward.larger_window), format_size(record.window_bytes),
                 ward.rescue_boot ? ", and for the last time: " : "",
                 ward.rescue_boot ? rescue : "");
  else if (ward.rescue_boot)
    spdlog::warn("{}: {}; {}{}", who, what,
                 step == WindowStep::kSameWindow ? "for the last time, " : "", rescue);
  else
    spdlog::info("{}: booting it again in its window", who);
}

// A saver that has begun proves that the window is large enough, and may have given memory back.
// For a while both save areas are there. Whether the host has so much is seen when it is asked for.
std::uint64_t Caretaker::larger_window_for(const Ward& ward, const DomainRecord& record) const {
  if (record.mode != SaveMode::kAdded || record.save_area.empty() || record.window.saving != 0)
    return 0;
  const DomainPolicy& policy = ward.policy;
  const std::uint64_t bytes = larger_window(ward.ram, record.window_bytes, policy.window_bytes,
                                            std::max(policy.window_max, policy.window_bytes));
  const auto plan = plan_window(ward.ram, bytes);
  if (bytes == 0 || !plan) return 0;
  const std::uint64_t both =
      record.save_area.bytes() + save_area_reserve(ward.ram, *plan, ward.config.max_vcpus);
  return room_for(ward).bytes >= both ? bytes : 0;
}

WindowChoices Caretaker::window_choices(const Ward& ward, const DomainRecord& record) const {
  WindowChoices choices;
  choices.larger_window = larger_window_for(ward, record) != 0;
  choices.capture = true;
  choices.rescue_boot = record.window.can_rescue;
  // This crash is counted.
  choices.last_boot = crashes_too_often(record.crashes, seconds_since_boot(), ward.policy);
  // What is put aside holds memory until an admin has seen to it: one of each domain.
  const auto all = world_.captures.all();
  choices.restart =
      std::none_of(all.begin(), all.end(),
                   [&](const CaptureView& view) {
                     return view.record.uuid == ward.config.uuid && view.record.is_aside();
                   }) &&
      room_for(ward).bytes >= ward.config.memory_bytes;
  return choices;
}

void Caretaker::leave_window(unsigned domid, Ward& ward, const DomainRecord& record,
                             WindowStep step, const std::string& why) {
  CaptureOrder order = capture_order(ward.policy.capture);
  const bool parks = step == WindowStep::kRestart;
  if (parks) order.mode = "alias";
  auto checked = check_order(order);
  auto started =
      checked ? begin_capture(domid, ward, order,
                              parks ? CaptureCause::kWindowParks : CaptureCause::kWindow, &record)
              : Result<StartedCapture>(fail(std::move(checked)));
  if (!started) return window_step_failed(domid, ward, step, started.error());
  spdlog::warn("domain {} ({}): {}; {} as capture {}", domid, ward.config.name, why,
               parks ? "another domain takes its place, and its dump is kept"
                     : "its dump is written by the host, and another domain takes its place",
               started->name);
}

// The next look finds out what else there is.
void Caretaker::window_step_failed(unsigned domid, Ward& ward, WindowStep step,
                                   const Error& error) {
  auto record = world_.book.find(ward.config.uuid);
  if (!record) return give_up(domid, ward, error.what());
  WindowHistory then = record->window;
  then.note_tried(step);
  const bool counted = record->crash_counted ||
                       !crashes_too_often(record->crashes, seconds_since_boot(), ward.policy);
  const bool is_last = next_window_step(then, record->boots, !counted,
                                        resolved(ward.policy.on_window_failure, ward.config),
                                        window_choices(ward, *record)) == WindowStep::kKeep;
  record->error = fmt::format("{}: {}", to_string(step), error.what());
  if (is_last && is_transient(error)) {
    world_.book.note(*record);
    return attempt_failed(domid, ward, error);  // what may pass is waited for
  }
  record->window = std::move(then);
  world_.book.note(*record);
  spdlog::error("domain {} ({}): {}: {}", domid, ward.config.name, to_string(step), error.what());
}

// A dump that waits and cannot be booted any more is no reason to leave the guest down.
void Caretaker::rescue_failed(unsigned domid, Ward& ward, const Error& error, WindowStep step) {
  const auto record = world_.book.find(ward.config.uuid);
  const bool waits = record && record->step == Step::kStarted && !record->dump_over &&
                     !record->window.has_tried(WindowStep::kSameWindow);
  // The guest is down, and there are other ways than to wait for memory.
  if (waits && (step == WindowStep::kLargerWindow || !pause_before_retry(error, &*record, 1)))
    return window_step_failed(domid, ward, step, error);
  attempt_failed(domid, ward, error);
}

// What an admin wants tried again is tried again in each way.
void Caretaker::forget_window_steps() {
  for (const auto& [domid, ward] : wards_) {
    auto record = world_.book.find(ward.config.uuid);
    if (!record || record->window.tried.empty()) continue;
    record->window.tried.clear();
    world_.book.note(*record);
  }
}

// Of a domain that lives, in each round.
void Caretaker::watch_boot(const DomainStatus& status, Ward& ward) {
  auto record = world_.book.find(status.uuid);
  if (!record || record->step != Step::kStarted) return;
  // A pause, or a hadumpd that was away, is no time in which the guest has lived.
  constexpr std::chrono::milliseconds kLongestRound{5000};
  const auto now = world_.monotonic();
  if (ward.boot.id != record->started_ms) ward.boot = {record->started_ms, now, {}};
  ward.boot.lived += std::min(now - std::exchange(ward.boot.looked, now), kLongestRound);
  const GuestProgress words = last_words(status.domid, ward, *record);
  if (saver_has_begun(words) && record->window.saving != record->boots) {
    record->window.saving = record->boots;
    world_.book.note(*record);
  }
  if (words.state != GuestState::kNone && record->window.stopped == record->boots) {
    record->window.stopped = 0;  // it came up at the last moment
    world_.book.note(*record);
  }
  const auto limit = ward.policy.window_boot_timeout;
  if (limit.count() == 0 || ward.boot.lived < limit || !may_hang(*record, words) ||
      !heard_.news.contains(status.domid))
    return;
  record->window.stopped = record->boots;
  world_.book.note(*record);
  ward.boot.lived = {};  // should it fail
  spdlog::warn("domain {} ({}): boot {} in the window has made no progress in {} s; stopping it",
               status.domid, ward.config.name, record->boots, limit.count());
  stop_boot(status.domid, ward, *record);
}

// What a boot takes is known when it is over. Of one domain the most counts: its later boots were
// in a window, and a guest that reboots by itself is another domain.
void Caretaker::review_window(unsigned domid, Ward& ward) {
  const GuestProgress words = progress(domid, ward);
  // Memory is short while a dump waits. What a guest has reserved fits the window that it was told
  // of.
  if (!ward.policy.window_auto || ward.policy.save_area == SaveMode::kRegistered ||
      words.state != GuestState::kRegistered || words.boot_bytes <= ward.need.measured)
    return;
  const std::uint64_t before = ward.policy.window_bytes;
  ward.need.measured = words.boot_bytes;
  choose_window(ward);
  if (ward.policy.window_bytes == before || ward.policy.on_crash == OnCrash::kCapture ||
      !why_not_in_place(ward.config, ward.policy).empty())
    return;
  spdlog::info("domain {} ({}): window {} from now on, {} before: {}", domid, ward.config.name,
               format_size(ward.policy.window_bytes), format_size(before), ward.window_why);
  world_.preparer.prepare(domid, ward.config,
                          {ward.policy.window_bytes, ward.policy.window_cmdline});
  start_publishing(domid, ward);
}

void Caretaker::stop_boot(unsigned domid, Ward& ward, const DomainRecord& record) {
  const std::string what =
      fmt::format("domain {} ({}): stopping its boot", domid, ward.config.name);
  auto started = world_.jobs.start<void>(
      domid, what,
      [&host = world_.host, domid, ram = ward.ram, record]() -> Result<> {
        auto open = host.open(domid);
        if (!open) return fail(std::move(open));
        auto keys = (*open)->store().guest_keys();
        if (!keys) return fail(std::move(keys));
        if (!may_hang(record, check_progress(*keys, ram))) return {};  // it has come up meanwhile
        return host.crash(domid);
      },
      [what](const Result<>& done) {
        if (!done) spdlog::error("{}: {}, retrying", what, done.error().what());
      });
  if (started) ward.job = *started;
}

}  // namespace hadump
