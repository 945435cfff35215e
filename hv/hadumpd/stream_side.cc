// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/stream_side.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hv/hadumpd/clocks.h"
#include "hv/xen/stream_link.h"

namespace hadump {

Result<std::unique_ptr<StreamSide>> StreamSide::open(const World& world) {
  StoreHandle store(xs_open(0));
  if (!store) return fail_os(errno, "connecting to xenstore");
  return std::unique_ptr<StreamSide>(new StreamSide(world, std::move(store)));
}

StreamSide::StreamSide(const World& world, StoreHandle store)
    : world_(world),
      store_(std::move(store)),
      files_(system_file_systems(), wall_ms),
      streams_{
          .connect = [&log = world.log](unsigned domid,
                                        unsigned slot) { return connect_stream(log, domid, slot); },
          .check_domain = [this](unsigned domid,
                                 const std::string& uuid) { return check_domain(domid, uuid); },
          .files = files_,
          .now = monotonic,
          .stopping = world.stopping},
      jobs_(world.wakeup),
      keeper_({jobs_, [this](const StreamTask& task) { return run_stream(streams_, task); },
               wall_ms, monotonic}),
      offers_(
          [store = store_.get()](unsigned domid, bool) -> Result<GuestNews> {
            return read_stream_offers(store, domid);
          },
          world.wakeup) {}

// A guest that has crashed says nothing more, and its rings must not stay mapped: its memory is to
// be its next kernel's.
Result<> StreamSide::check_domain(unsigned domid, const std::string& uuid) const {
  auto domains = world_.host.domains();
  if (!domains) return fail(std::move(domains));
  const auto found = std::find_if(domains->begin(), domains->end(), [&](const DomainStatus& one) {
    return one.domid == domid && one.uuid == uuid && !one.dying;
  });
  if (found == domains->end()) return fail(ErrorCode::kNotFound, "the domain is gone");
  if (found->shutdown) return fail(ErrorCode::kNotFound, "the domain has shut down");
  return {};
}

void StreamSide::look(const std::map<unsigned, StreamGuest>& guests, const StreamLimits& limits) {
  std::map<unsigned, bool> all;
  for (const auto& [domid, guest] : guests) all.emplace(domid, true);
  offers_.follow(std::move(all));
  keeper_.look(guests, offers_.heard().news, limits);
}

}  // namespace hadump
