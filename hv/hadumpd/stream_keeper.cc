// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/stream_keeper.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "core/abi/hadump_abi.h"
#include "core/base/printable.h"
#include "core/base/text.h"

namespace hadump {
namespace {

// The key of a stream's job among streams' jobs.
unsigned job_key(unsigned domid, unsigned slot) {
  return domid * HADUMP_XS_STREAM_SLOTS + slot;
}

std::string who(const StreamTask& task) {
  return fmt::format("domain {} ({})", task.domid, task.domain);
}

}  // namespace

void StreamKeeper::look(const std::map<unsigned, StreamGuest>& guests,
                        const std::map<unsigned, GuestNews>& offers, const StreamLimits& limits) {
  world_.jobs.collect();
  forget_gone(guests, offers);
  for (const auto& [domid, guest] : guests) {
    const auto found = offers.find(domid);
    if (found == offers.end()) continue;
    for (unsigned slot = 0; slot < HADUMP_XS_STREAM_SLOTS; ++slot)
      if (const auto offer = found->second.keys.find(std::to_string(slot));
          offer != found->second.keys.end())
        offered({domid, slot}, offer->second, guest, limits);
  }
}

void StreamKeeper::forget_gone(const std::map<unsigned, StreamGuest>& guests,
                               const std::map<unsigned, GuestNews>& offers) {
  std::erase_if(served_, [&](const auto& one) {
    const auto found = offers.find(one.first.first);
    return found == offers.end() || !found->second.keys.contains(std::to_string(one.first.second));
  });
  std::erase_if(attempts_, [&](const auto& one) { return !guests.contains(one.first); });
}

void StreamKeeper::offered(const Place& place, const std::string& id, const StreamGuest& guest,
                           const StreamLimits& limits) {
  const std::string whole_id = guest.uuid + " " + id;
  const auto served = served_.find(place);
  if (served != served_.end() && served->second == whole_id) return;
  if (running_.contains(place)) return;  // its end is about to be noticed
  // A guest that offers garbage again and again costs a thread now and then.
  if (!attempts_[place.first].due(world_.monotonic())) return;
  if (running_.size() >= limits.max_running) {
    if (!told_of_limit_)
      spdlog::warn(
          "domain {} ({}): its stream waits, since {} run already; [streams] max-running "
          "is the limit",
          place.first, guest.name, running_.size());
    told_of_limit_ = true;
    return;
  }
  told_of_limit_ = false;
  StreamTask task{place.first,
                  place.second,
                  guest.name,
                  guest.uuid,
                  limits,
                  guest.policy,
                  std::make_shared<StreamProgress>()};
  auto started = world_.jobs.start<ReceivedStream>(
      job_key(place.first, place.second), fmt::format("{}: stream {}", who(task), place.second),
      [receive = world_.receive, task] { return receive(task); },
      [this, place](const Result<ReceivedStream>& result) { ended(place, result); });
  if (!started) {
    // The guest waits for a minute; the next round tries again.
    spdlog::warn("{}: its stream cannot be received: {}", who(task), started.error().what());
    return;
  }
  served_[place] = whole_id;
  running_.emplace(place, Running{std::move(task), world_.wall_ms()});
}

void StreamKeeper::ended(const Place& place, const Result<ReceivedStream>& result) {
  const auto found = running_.find(place);
  if (found == running_.end()) return;
  const StreamTask task = std::move(found->second.task);
  running_.erase(found);
  const std::string directory = stream_directory_of(task.limits.directory, task.domain);
  if (result) {
    attempts_.erase(place.first);
    spdlog::info("{}: stream received: {}/{}, {}", who(task), directory, result->name,
                 format_size(result->bytes));
    return;
  }
  Attempts& attempts = attempts_[place.first];
  attempts.fail(result.error().what(), world_.monotonic() + pause_after(attempts.failures() + 1));
  const StreamProgress::Now now = task.progress->now();
  const std::string left =
      now.durable == 0
          ? "nothing of it is kept"
          : fmt::format(
                "its first {} are in the newest {}/{}-incomplete*; remove it when it is of "
                "no use",
                format_size(now.durable), directory, now.file);
  spdlog::warn("{}: stream failed: {}; {}", who(task), printable(result.error().what()), left);
}

std::vector<StreamView> StreamKeeper::views() const {
  std::vector<StreamView> views;
  for (const auto& [place, running] : running_) {
    const StreamProgress::Now now = running.task.progress->now();
    StreamView view;
    view.domid = place.first;
    view.domain = running.task.domain;
    view.uuid = running.task.uuid;
    if (!now.file.empty())
      view.file = stream_directory_of(running.task.limits.directory, view.domain) + "/" + now.file;
    view.begun_ms = running.begun_ms;
    view.received = now.received;
    view.durable = now.durable;
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace hadump
