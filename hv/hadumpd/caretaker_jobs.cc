// SPDX-License-Identifier: GPL-2.0-or-later
// The caretaker's jobs, and what comes of them.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/rescue/finish_dump.h"
#include "hv/rescue/kept_memory.h"
#include "hv/rescue/snapshot.h"

namespace hadump {
namespace {

// Of a crash run that has not added it yet: its size counts, not its place.
FrameRange planned_save_area(const Ward& ward, std::uint64_t window_bytes) {
  const auto plan = plan_window(ward.ram, window_bytes);
  const std::uint64_t bytes =
      plan ? save_area_reserve(ward.ram, *plan, ward.config.max_vcpus) : window_bytes;
  return {Gfn{0}, Gfn{std::max<std::uint64_t>(bytes >> kFrameShift, 1)}};
}

// Longer than it takes to hear of xenstore again.
constexpr std::chrono::seconds kAfterUndoing{3};

std::string title(unsigned domid, const Ward& ward, const char* what) {
  return fmt::format("domain {} ({}): {}", domid, ward.config.name, what);
}

}  // namespace

// Crash runs that have not added their save area yet count as if they had. A domain that is kept
// with its dump takes all its memory, since its successor has as much once more.
SaveRoom Caretaker::room_for(const Ward& ward) const {
  std::vector<DomainRecord> all = world_.book.all();
  for (DomainRecord& record : all) {
    const Ward* other = ward_of(record.domid, record.uuid);
    if (other == nullptr || !other->rescuing) continue;
    if (record.save_area.empty() && other->policy.save_area == SaveMode::kAdded)
      record.save_area = planned_save_area(*other, other->policy.window_bytes);
    if (record.other_area.empty() && other->larger_window != 0)
      record.other_area = planned_save_area(*other, other->larger_window);
  }
  std::uint64_t kept_bytes = 0;
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    if (!record.parks || !(record.is_aside() || record.is_open())) continue;
    const Ward* parked = ward_of(record.domid, record.uuid);
    kept_bytes += record.full_kib != 0 || parked == nullptr ? record.full_kib << 10
                                                            : parked->config.memory_bytes;
  }
  return room_for_save_area(all, ward.config.uuid, policies_.host(), kept_bytes);
}

CrashPolicy Caretaker::policy_of(const Ward& ward) const {
  const HostLimits& limits = policies_.host();
  const SaveRoom room = room_for(ward);
  return {.window_bytes = ward.policy.window_bytes,
          .least_window_bytes = ward.policy.window_auto ? kLeastWindow : 0,
          .larger_window_bytes = ward.larger_window,
          .rescue_boot = ward.rescue_boot,
          .mode = ward.policy.save_area,
          .backend_deadline = ward.policy.backend_timeout,
          .keep_free_bytes = limits.keep_free_bytes,
          .may_add_save_area = room.may_add,
          .most_added_bytes = room.bytes,
          .cmdline = ward.policy.window_cmdline};
}

Result<JobNumber> Caretaker::start_rescue(unsigned domid, Ward& ward) {
  RescueOrder order{domid, ward.config, policy_of(ward), {}};
  order.record = world_.book.find(ward.config.uuid).value_or(DomainRecord{});
  order.record.uuid = ward.config.uuid;
  order.record.name = ward.config.name;
  order.record.domid = domid;
  auto started = world_.jobs.start<void>(
      domid, title(domid, ward, "crash run"),
      [rescue = world_.rescue, order] { return rescue(order); },
      [this, domid, uuid = ward.config.uuid](const Result<>& done) { rescued(domid, uuid, done); });
  if (started) {
    ward.job = *started;
    ward.rescuing = true;
    ward.given_up = ward.captured = false;
    ward.end.reset();                             // what it says next is another kernel's
    forget_captures_of(domid, ward.config.uuid);  // its memory changes
  } else if (!world_.jobs.busy(domid)) {
    attempt_failed(domid, ward, started.error());
  }
  return started;
}

void Caretaker::rescued(unsigned domid, const std::string& uuid, const Result<>& done) {
  Ward* ward = ward_of(domid, uuid);
  if (ward == nullptr) return;  // the domain is gone
  ward->rescuing = false;
  const bool was_larger = std::exchange(ward->larger_window, 0) != 0;
  const bool was_rescue = std::exchange(ward->rescue_boot, false);
  const WindowStep step = was_larger   ? WindowStep::kLargerWindow
                          : was_rescue ? WindowStep::kRescueBoot
                                       : WindowStep::kSameWindow;
  if (!done) return rescue_failed(domid, *ward, done.error(), step);
  ward->attempts.reset();
  if (const auto record = world_.book.find(uuid)) log_times(*record);
}

void Caretaker::log_times(const DomainRecord& record) const {
  std::string line;
  double total = 0;
  for (const auto& [step, ms] : record.times) {
    line += fmt::format(" {}={:.1f}", step, ms);
    total += ms;
  }
  spdlog::info("domain {} ({}): started again, dump {}, boot {}, total {:.1f} ms:{}", record.domid,
               record.name, to_hex(record.dump_id), record.boots, total, line);
}

Result<JobNumber> Caretaker::start_departure(unsigned domid, Ward& ward) {
  auto started = world_.jobs.start<void>(
      domid, title(domid, ward, "following its configuration"),
      [departure = ward.departure, world = world_] {
        return carry_out(*departure,
                         {world.host, world.states, world.book, world.cores, world.wall_ms});
      },
      [this, domid, uuid = ward.config.uuid](const Result<>& done) {
        departed(domid, uuid, done);
      });
  if (started) {
    ward.job = *started;
    ward.given_up = false;
  } else if (!world_.jobs.busy(domid)) {
    attempt_failed(domid, ward, started.error());
  }
  return started;
}

void Caretaker::departed(unsigned domid, const std::string& uuid, const Result<>& done) {
  Ward* ward = ward_of(domid, uuid);
  if (ward == nullptr) return;
  if (!done) return attempt_failed(domid, *ward, done.error());
  const std::shared_ptr<Departure> departure = std::move(ward->departure);
  wards_.erase(domid);
  auto record = world_.book.find(uuid);
  if (!departure->replaces() || !record) return;
  record->started_ms = world_.wall_ms();
  world_.book.note(*record);
}

void Caretaker::start_publishing(unsigned domid, Ward& ward) {
  auto started = world_.jobs.start<void>(
      domid, title(domid, ward, "publishing its policy"),
      [&host = world_.host, domid, ward, record = world_.book.find(ward.config.uuid)] {
        return publish_policy(host, domid, ward, record);
      },
      [this, domid, uuid = ward.config.uuid](const Result<>& done) {
        published(domid, uuid, done);
      });
  ward.published = started.has_value();
}

void Caretaker::published(unsigned domid, const std::string& uuid, const Result<>& done) {
  Ward* ward = ward_of(domid, uuid);
  if (ward == nullptr) return;
  if (done) return ward->publishings.reset();
  ward->published = false;
  const auto next = world_.monotonic() + pause_after(ward->publishings.failures() + 1);
  if (ward->publishings.fail(done.error().what(), next))
    spdlog::warn("domain {} ({}): telling its guest what is wanted of it: {}, retrying", domid,
                 ward->config.name, done.error().what());
}

void Caretaker::start_keeping(unsigned domid, Ward& ward, const DomainRecord& record) {
  auto started = world_.jobs.start<void>(
      domid, title(domid, ward, "keeping its memory"),
      [world = world_, domid, record]() -> Result<> {
        auto open = world.host.open(domid);
        if (!open) return fail(std::move(open));
        return restore_memory((*open)->memory(), (*open)->store(), world.book, record);
      },
      [this, domid, record](const Result<>& done) { kept(domid, record, done); });
  if (!started) kept(domid, record, fail(std::move(started)));
}

void Caretaker::kept(unsigned domid, const DomainRecord& record, const Result<>& done) {
  Ward* ward = ward_of(domid, record.uuid);
  if (ward == nullptr) return;
  if (done) {
    // What is known of xenstore was read before this: it must not be taken for another wish.
    ward->keepings.wait_until(world_.monotonic() + kAfterUndoing);
    spdlog::warn(
        "domain {} ({}): its memory size was changed while a dump waits in it; that was undone, "
        "and takes effect when the dump is over",
        domid, ward->config.name);
    return;
  }
  const auto next = world_.monotonic() + pause_after(ward->keepings.failures() + 1);
  if (ward->keepings.fail(done.error().what(), next))
    spdlog::error(
        "domain {} ({}): its memory size was changed while a dump waits in it, and undoing that "
        "has failed: {}, retrying",
        domid, ward->config.name, done.error().what());
}

void Caretaker::start_ending(unsigned domid, Ward& ward, const DomainRecord& record) {
  auto started = world_.jobs.start<Ending>(
      domid, title(domid, ward, "ending its dump"),
      [world = world_, domid, ram = ward.ram, record] {
        return end_dump(world, domid, ram, record);
      },
      [this, domid, uuid = record.uuid](const Result<Ending>& ending) {
        ended(domid, uuid, ending);
      });
  if (!started) ended(domid, record.uuid, fail(std::move(started)));
}

// On the job's thread.
Result<Caretaker::Ending> Caretaker::end_dump(const World& world, unsigned domid,
                                              const FrameSet& ram, DomainRecord record) {
  auto open = world.host.open(domid);
  if (!open) return fail(std::move(open));
  auto keys = (*open)->store().guest_keys();
  if (!keys) return fail(std::move(keys));
  if (!dump_is_over((*open)->memory(), record, check_progress(*keys, ram))) return Ending{};
  auto beyond = finish_dump((*open)->domain(), (*open)->memory(), (*open)->store(), world.book,
                            record, world.wall_ms());
  if (!beyond) return fail(std::move(beyond));
  return Ending{true, *beyond};
}

void Caretaker::ended(unsigned domid, const std::string& uuid, const Result<Ending>& ending) {
  Ward* ward = ward_of(domid, uuid);
  if (ward == nullptr) return;
  if (!ending || !ending->over) {
    const auto next = world_.monotonic() + pause_after(ward->endings.failures() + 1);
    const bool news = ward->endings.fail(ending ? "" : ending.error().what(), next);
    if (!ending && news)
      spdlog::error("domain {} ({}): ending the dump: {}, retrying", domid, ward->config.name,
                    ending.error().what());
    return;
  }
  ward->endings.reset();
  if (ending->beyond_kib != 0)
    spdlog::warn("domain {} ({}): {}", domid, ward->config.name,
                 memory_kept_text(ending->beyond_kib));
  const auto record = world_.book.find(uuid);
  if (!record) return;
  spdlog::info("domain {} ({}): dump {} is done", domid, ward->config.name,
               to_hex(record->dump_id));
  // What was not asked while the dump waited.
  ward->note = why_not_watched(ward->config, ward->policy, &*record);
  if (!ward->note.empty())
    spdlog::info("domain {} ({}): no longer watched: {}", domid, ward->config.name, ward->note);
}

}  // namespace hadump
