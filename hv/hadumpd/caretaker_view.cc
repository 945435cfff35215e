// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker shows of its domains. Nothing here asks anybody.
#include <fmt/format.h>

#include <algorithm>

#include "hv/hadumpd/caretaker.h"

namespace hadump {

GuestProgress Caretaker::progress(unsigned domid, const Ward& ward) const {
  const auto found = heard_.news.find(domid);
  if (found == heard_.news.end() || ward.ram.empty()) return {};
  return check_progress(found->second.keys, ward.ram);
}

void Caretaker::note_state(unsigned domid, const Ward& ward) {
  const auto record = world_.book.find(ward.config.uuid);
  const bool busy = world_.jobs.busy(domid);
  ShownState::Facts facts{.ignored = !ward.note.empty(),
                          .given_up = ward.given_up,
                          .rescuing = ward.rescuing,
                          .retrying = ward.attempts.failures() > 0 && !busy,
                          .record = record ? &*record : nullptr};
  // The action is not the job's to change, but the rest of a departure is.
  facts.restarting = !facts.retrying && ward.departure && ward.departure->replaces();
  facts.capturing = ward.capturing;
  facts.captured = ward.captured;
  if (!facts.ignored) facts.guest = progress(domid, ward).state;
  shown_[ward.config.uuid].update(facts, world_.wall_ms());
}

std::string Caretaker::note_of(unsigned domid, const Ward& ward) const {
  if (!ward.note.empty()) return ward.note;
  if (ward.given_up) return ward.why;
  if (world_.jobs.busy(domid)) return "";
  const auto now = world_.monotonic();
  const auto seconds = [&](const Attempts& attempts) {
    const auto left = std::max(attempts.next() - now, std::chrono::milliseconds(0));
    return std::chrono::ceil<std::chrono::seconds>(left).count();
  };
  for (const Attempts* attempts :
       {&ward.attempts, &ward.endings, &ward.keepings, &ward.publishings})
    if (!attempts->error().empty())
      return fmt::format("{} (attempt {} failed, next in {} s)", attempts->error(),
                         attempts->failures(), seconds(*attempts));
  if (ward.departure && !ward.attempts.due(now))
    return fmt::format("re-created in {} s, since it ran only briefly", seconds(ward.attempts));
  const auto record = world_.book.find(ward.config.uuid);
  const std::string then = record ? what_followed(*record) : "";
  if (record && record->step == Step::kStarted && !record->window.why.empty())
    return what_happened(record->window, record->window.judged) + (then.empty() ? "" : "; " + then);
  return world_.preparer.trouble(domid);
}

std::vector<DomainView> Caretaker::views() {
  std::vector<DomainView> views;
  for (const auto& [domid, ward] : wards_) {
    note_state(domid, ward);
    const ShownState& shown = shown_[ward.config.uuid];
    DomainView view;
    view.name = ward.config.name;
    view.uuid = ward.config.uuid;
    view.domid = domid;
    view.state = shown.state();
    view.since_ms = shown.since_ms();
    view.memory_bytes = ward.config.memory_bytes;
    if (ward.note.empty() && ward.policy.on_crash != OnCrash::kCapture &&
        why_not_in_place(ward.config, ward.policy).empty()) {
      view.window_bytes = ward.policy.window_bytes;
      view.window_why = ward.window_why;
    }
    view.note = note_of(domid, ward);
    view.record = world_.book.find(ward.config.uuid);
    view.progress = progress(domid, ward);
    view.job = world_.jobs.busy(domid) ? ward.job : 0;
    view.failures = ward.attempts.failures();
    const auto left = ward.attempts.next() - world_.monotonic();
    if (left.count() > 0) view.wait_ms = static_cast<std::uint64_t>(left.count());
    views.push_back(std::move(view));
  }
  for (const auto& [domid, adoption] : adoptions_) {
    if (!adoption.is_late() || wards_.contains(domid)) continue;
    DomainView view;
    view.name = "(unknown)";
    view.uuid = adoption.uuid;
    view.domid = domid;
    view.state = "unknown";
    view.note = adoption.attempts.error();
    view.failures = adoption.attempts.failures();
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace hadump
