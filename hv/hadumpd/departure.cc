// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/departure.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace hadump {
namespace {

bool wants_core(ShutdownAction action) {
  return action == ShutdownAction::kCoredumpDestroy || action == ShutdownAction::kCoredumpRestart;
}

void write_core(const Departure& departure, Host& host, CoreDirectory& cores) {
  auto written = cores.write(
      departure.cores, departure.name, departure.time, core_bytes(departure.memory_bytes),
      [&](const std::string& path) { return host.dump_core(departure.domid, path); });
  if (written)
    spdlog::info("domain {} ({}): core dump {}", departure.domid, departure.name, *written);
  else
    spdlog::error("domain {} ({}): no core dump: {}, continuing", departure.domid, departure.name,
                  written.error().what());
}

// With libxl alone it would be destroyed under the backends, whatever they are doing.
Result<> disconnect(const Departure& departure, Host& host) {
  if (!departure.backend_deadline) return {};
  auto open = host.open(departure.domid);
  if (!open) return fail(std::move(open));
  auto done = (*open)->links().disconnect(*departure.backend_deadline);
  return done ? done : fail(std::move(done), "disconnecting the old domain");
}

// A domain stays, dying, for as long as somebody maps memory of it.
Result<> check_gone(const Departure& departure, Host& host) {
  if (!departure.backend_deadline) return {};
  auto domains = host.domains();
  if (!domains) return fail(std::move(domains));
  const bool there = std::any_of(domains->begin(), domains->end(), [&](const DomainStatus& one) {
    return one.domid == departure.domid;
  });
  if (!there) return {};
  return fail(
      ErrorCode::kBusy,
      fmt::format("domain {} is not gone yet: something still maps its memory", departure.domid));
}

// Ends with a blueprint and without the domain.
Result<> make_room(Departure& departure, const DepartureWorld& world) {
  Host& host = world.host;
  auto config = host.config(departure.domid);
  if (!config) return fail(std::move(config));
  if (config->blueprint.empty()) return fail(ErrorCode::kOs, "libxl does not describe the domain");
  if (auto done = disconnect(departure, host); !done) return done;
  // The next hadumpd needs both if this one is killed in the middle.
  if (auto done = world.book.write_down(departure.uuid); !done) return done;
  if (auto done = world.states.save_successor(departure.uuid, config->blueprint); !done)
    return done;
  const bool keep = departure.action == ShutdownAction::kRenameRestart;
  auto done = keep ? host.set_aside(departure.domid, "") : host.destroy(departure.domid);
  if (done) departure.blueprint = std::move(config->blueprint);
  return done;
}

}  // namespace

Result<> carry_out(Departure& departure, const DepartureWorld& world) {
  if (wants_core(departure.action) && !departure.blueprint &&
      !std::exchange(departure.core_tried, true))
    write_core(departure, world.host, world.cores);
  if (!departure.replaces()) return world.host.destroy(departure.domid);
  if (departure.half_made) {
    if (auto done = world.host.destroy(*departure.half_made); !done) return done;
    departure.half_made.reset();
  }
  if (!departure.blueprint)
    if (auto done = make_room(departure, world); !done) return done;
  if (auto done = check_gone(departure, world.host); !done) return done;
  // A dump that waited in the old domain is gone with it.
  if (const auto old = world.book.find(departure.uuid)) {
    DomainRecord fresh = record_of_successor(*old, world.wall_ms());
    fresh.quick_restarts = departure.quick_restarts;
    if (auto done = world.book.save(fresh); !done) return done;
  }
  auto created = world.host.create(*departure.blueprint, 0);
  if (!created) return fail(std::move(created));
  if (auto fresh = world.book.find(departure.uuid)) {
    fresh->domid = *created;
    // Trying again would create another one. Without this the next hadumpd takes it for ours, too.
    if (auto done = world.book.save(*fresh); !done)
      spdlog::warn("domain {} ({}): {}, continuing", *created, departure.name, done.error().what());
  }
  spdlog::info("domain {} ({}): replaces domain {}", *created, departure.name, departure.domid);
  world.states.forget_successor(departure.uuid);
  return {};
}

}  // namespace hadump
