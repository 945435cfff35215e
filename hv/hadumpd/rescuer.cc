// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/rescuer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <random>

#include "hv/hadumpd/clocks.h"

namespace hadump {
namespace {

// For a domain that crashes before what it boots from is ready. Unpacking takes seconds, libxl a
// second; beyond that it hangs.
constexpr std::chrono::seconds kFilesPatience{30};

DumpId random_dump_id() {
  std::random_device random;
  DumpId id;
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(random());
  return id;
}

}  // namespace

Result<> Rescuer::operator()(RescueOrder order) const {
  WatchedWork work(stalls_, fmt::format("domain {} ({})", order.domid, order.config.name));
  auto open = host_.open(order.domid);
  if (!open) return fail(std::move(open));
  BootFileCache files = preparer_.files(order.domid, order.config, kFilesPatience);
  const CrashWorld world{
      .domain = (*open)->domain(),
      .memory = (*open)->memory(),
      .links = (*open)->links(),
      .store = (*open)->store(),
      .files = files,
      .records = records_,
      .monotonic =
          [] {
            return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch());
          },
      .wall_ms = wall_ms,
      .new_dump_id = random_dump_id,
      .warn =
          [&order](const std::string& text) { spdlog::warn("{}: {}", order.config.name, text); },
      .reached = [&work](const std::string& step) { work.reached(step); }};
  return CrashRun(world, order.policy, order.config).run(order.record);
}

}  // namespace hadump
