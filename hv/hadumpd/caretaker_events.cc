// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker decides when a domain runs, shuts down, crashes or is done with its dump.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "hv/agent/crash_limit.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/rescue/finish_dump.h"
#include "hv/rescue/kept_memory.h"

namespace hadump {

void Caretaker::give_up(unsigned domid, Ward& ward, const std::string& why) {
  ward.given_up = true;
  ward.why = why;
  spdlog::error("domain {} ({}): {}; leaving it as it is. SIGHUP makes hadumpd retry", domid,
                ward.config.name, why);
}

void Caretaker::attempt_failed(unsigned domid, Ward& ward, const Error& error) {
  auto record = world_.book.find(ward.config.uuid);
  if (record && record->error != error.what()) {
    record->error = error.what();
    world_.book.note(*record);
  }
  const auto pause =
      pause_before_retry(error, record ? &*record : nullptr, ward.attempts.failures() + 1);
  if (!pause) return give_up(domid, ward, error.what());
  if (ward.attempts.fail(error.what(), world_.monotonic() + *pause))
    spdlog::error("domain {} ({}): {}; retrying in {} s", domid, ward.config.name, error.what(),
                  std::chrono::round<std::chrono::seconds>(*pause).count());
  else
    spdlog::debug("domain {} ({}): attempt {} failed, too", domid, ward.config.name,
                  ward.attempts.failures());
}

void Caretaker::look_at(const DomainStatus& status, Ward& ward) {
  const bool lives = !status.shutdown && !status.paused;
  if (ward.given_up && !lives) return;
  auto record = world_.book.find(status.uuid);
  if (record && notice_start(*record, status, world_.wall_ms())) world_.book.note(*record);
  const bool mid_boot = record && record->has_snapshot() && record->step != Step::kStarted;
  if (lives && !mid_boot) return see_to_living(status, ward);
  if (!ward.attempts.due(world_.monotonic())) return;
  if (mid_boot) {
    spdlog::info("domain {} ({}): finishing the run that was interrupted at step {}", status.domid,
                 ward.config.name, to_string(record->step));
    static_cast<void>(start_rescue(status.domid, ward));  // what fails is seen in the ward
  } else if (status.shutdown) {
    see_to_shutdown(status, ward);
  }
}

void Caretaker::see_to_living(const DomainStatus& status, Ward& ward) {
  ward.given_up = false;  // somebody else may have brought it back to life
  ward.why.clear();
  ward.attempts.reset();
  ward.departure.reset();
  ward.end.reset();
  ward.captured = false;
  forget_captures_of(status.domid, status.uuid);  // another crash is another memory
  auto record = world_.book.find(status.uuid);
  if (record && record->crash_counted) {
    record->crash_counted = false;  // the next crash is another one
    world_.book.note(*record);
  }
  if (was_renamed(status, ward)) {
    spdlog::info("domain {} ({}): it has another name now", status.domid, ward.config.name);
    ward.stale = true;  // its policy is by name
    return;
  }
  // Not of a crashed domain: the event that xenstored sends with it would change its memory.
  if (!ward.published && ward.publishings.due(world_.monotonic()))
    return start_publishing(status.domid, ward);
  watch_boot(status, ward);
  review_window(status.domid, ward);
  if (!world_.jobs.busy(status.domid)) see_to_dump(status, ward);
}

// What a guest said in its last second decides what becomes of it, and a hadumpd that was away, or
// has just begun, has not heard that.
// @return whether there is nothing to wait for any more: ward.end says what was heard.
bool Caretaker::has_last_words(unsigned domid, Ward& ward) {
  constexpr std::chrono::seconds kPatience{3};
  using Words = GuestEnd::Words;
  if (ward.ram.empty()) return true;  // nobody listens to it
  if (!ward.end) ward.end = GuestEnd{world_.ask_guests(), world_.monotonic()};
  GuestEnd& end = *ward.end;
  if (end.words != Words::kAsked) return true;
  if (heard_.look >= end.ticket) {
    if (heard_.news.contains(domid))
      end.words = Words::kHeard;
    else  // it could not be read, or was not listened to yet
      end.ticket = world_.ask_guests();
  }
  if (end.words == Words::kAsked && world_.monotonic() - end.noticed >= kPatience) {
    end.words = Words::kUnheard;
    spdlog::warn("domain {} ({}): xenstored does not answer; going by what the guest said before",
                 domid, ward.config.name);
  }
  return end.words != Words::kAsked;
}

void Caretaker::see_to_shutdown(const DomainStatus& status, Ward& ward) {
  if (!has_last_words(status.domid, ward)) return;
  if (see_to_capture(status, ward)) return;
  const auto record = world_.book.find(status.uuid);
  const bool never_up = record && may_hang(*record, last_words(status.domid, ward, *record));
  const ShutdownDuty duty =
      duty_at_shutdown(status, ward.config, record ? &*record : nullptr, never_up);
  switch (duty.kind) {
    case ShutdownDuty::Kind::kNothing:
      return;
    case ShutdownDuty::Kind::kRescue:
      return see_to_crash(status, ward);
    case ShutdownDuty::Kind::kObey:
      return obey(status, ward, duty.action);
  }
}

void Caretaker::see_to_crash(const DomainStatus& status, Ward& ward) {
  DomainRecord record = world_.book.find(ward.config.uuid).value_or(DomainRecord{});
  record.uuid = ward.config.uuid;
  record.name = ward.config.name;
  record.domid = status.domid;
  const std::uint64_t now_ms = world_.wall_ms();
  const bool seen = record.crash_counted;
  const Result<> counted = count_crash(record, seconds_since_boot(), ward.policy);
  // A guest that is done with its dump may have crashed before we have ended it.
  const bool waits = record.step == Step::kStarted && !record.dump_over &&
                     progress(status.domid, ward).state != GuestState::kDone;
  if (waits) {
    if (!see_to_window_end(status, ward, record, counted)) return;
  } else if (!counted) {
    record.error = counted.error().what();
    world_.book.note(record);
    return give_up(status.domid, ward,
                   record.error +
                       "; its memory is kept. Examine it and then `xl destroy` it, or boot it "
                       "again with `hadump trigger`");
  }
  if (!seen) record.noticed_ms = now_ms;
  if (is_captured(ward.config, ward.policy, record, progress(status.domid, ward).state)) {
    world_.book.note(record);
    return capture_crash(status.domid, ward);
  }
  if (!seen) {
    world_.book.keep(record);  // the crash run writes it down with its first step
    if (!waits) spdlog::info("domain {} ({}): crashed", status.domid, ward.config.name);
  }
  static_cast<void>(start_rescue(status.domid, ward));  // what fails is seen in the ward
}

bool Caretaker::was_renamed(const DomainStatus& status, const Ward& ward) const {
  const auto news = heard_.news.find(status.domid);
  return news != heard_.news.end() && !news->second.name.empty() &&
         news->second.name != ward.config.name;
}

void Caretaker::see_to_dump(const DomainStatus& status, Ward& ward) {
  auto record = world_.book.find(status.uuid);
  if (!record || record->step != Step::kStarted) return;
  const auto news = heard_.news.find(status.domid);
  const std::uint64_t target_kib = news == heard_.news.end() ? 0 : news->second.balloon_target_kib;
  if (note_memory_wish(*record, ward.config.memory_bytes >> 10, status.max_memory_kib,
                       target_kib)) {
    if (ward.keepings.due(world_.monotonic())) start_keeping(status.domid, ward, *record);
    return;
  }
  ward.keepings.reset();
  const GuestState guest = progress(status.domid, ward).state;
  // The job looks closely: dump_is_over().
  const bool may_be_over =
      record->dump_over || guest == GuestState::kDone ||
      (guest == GuestState::kRegistered && record->mode == SaveMode::kRegistered);
  if (!may_be_over)
    ward.endings.reset();
  else if (ward.endings.due(world_.monotonic()))
    start_ending(status.domid, ward, *record);
}

std::shared_ptr<Departure> Caretaker::plan_departure(unsigned domid, const Ward& ward,
                                                     ShutdownAction action) const {
  auto departure = std::make_shared<Departure>();
  departure->domid = domid;
  departure->uuid = ward.config.uuid;
  departure->name = ward.config.name;
  departure->memory_bytes = ward.config.memory_bytes;
  departure->action = action;
  departure->time = world_.wall_ms() / 1000;
  departure->cores = policies_.cores();
  return departure;
}

void Caretaker::obey(const DomainStatus& status, Ward& ward, ShutdownAction action) {
  if (ward.departure) {
    static_cast<void>(start_departure(status.domid, ward));  // what fails is seen in the ward
    return;
  }
  if (aftermath_of(action) == Aftermath::kStays)
    return give_up(status.domid, ward, "shut down and is preserved");
  const std::uint64_t now_ms = world_.wall_ms();
  const auto record = world_.book.find(status.uuid).value_or(DomainRecord{});
  ward.departure = plan_departure(status.domid, ward, action);
  Recreation plan;
  if (ward.departure->replaces()) plan = plan_recreation(record, now_ms);
  ward.departure->quick_restarts = plan.quick_restarts;
  const auto pause_s = std::chrono::round<std::chrono::seconds>(plan.pause).count();
  spdlog::info("domain {} ({}): shut down; following its configuration{}", status.domid,
               ward.config.name,
               pause_s == 0 ? "" : fmt::format(" in {} s, since it ran only briefly", pause_s));
  if (pause_s != 0)
    ward.attempts.wait_until(world_.monotonic() + plan.pause);
  else
    static_cast<void>(start_departure(status.domid, ward));  // as above
}

}  // namespace hadump
