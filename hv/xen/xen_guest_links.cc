// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_guest_links.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>

#include "core/base/printable.h"
#include "core/base/text.h"
#include "hv/xen/store_port.h"
#include "hv/xen/xen_guest_memory.h"

namespace hadump {
namespace {

// enum xenbus_state, xen/include/public/io/xenbus.h
constexpr const char* kInitialising = "1";
constexpr const char* kInitWait = "2";
constexpr const char* kClosed = "6";

constexpr std::chrono::milliseconds kPollInterval{5};
constexpr std::chrono::milliseconds kReconnectDeadline{5000};

// What a frontend writes when it connects: everything of an old connection must go, so that a
// backend cannot take it for the new one's. What the toolstack wrote stays.
bool is_connection_key(const std::string& name) {
  for (const char* prefix :
       {"ring-ref", "ring-page-order", "num-ring-pages", "event-channel", "tx-ring-ref",
        "rx-ring-ref", "ctrl-ring-ref", "queue-", "multi-queue-num-queues", "feature-", "request-",
        "page-ref", "protocol"})
    if (name.starts_with(prefix)) return true;
  return false;
}

// A backend can be another domain, and what it writes there anything.
std::string state_text(std::string_view state) {
  constexpr std::size_t kLongest = 16;
  return printable(state.substr(0, kLongest));
}

Result<> read_ring(const GuestMemory& memory, Gfn ring, xenstore_domain_interface& page) {
  return read_guest(memory, address_of(ring), std::as_writable_bytes(std::span(&page, 1)));
}

}  // namespace

std::vector<XenGuestLinks::Device> XenGuestLinks::devices() const {
  std::vector<Device> devices;
  const std::string base = fmt::format("/libxl/{}/device", domid_);
  for (const std::string& kind : store_.list(base)) {
    // The first console is xenconsoled's: it has no states, reopen_channels() deals with it.
    for (const std::string& id : store_.list(fmt::format("{}/{}", base, kind))) {
      if (kind == "console" && id == "0") continue;
      const std::string path = fmt::format("{}/{}/{}", base, kind, id);
      auto frontend = store_.read(path + "/frontend");
      auto backend = store_.read(path + "/backend");
      if (frontend && backend)
        devices.push_back(
            {fmt::format("{}/{}", kind, id), std::move(*frontend), std::move(*backend)});
    }
  }
  return devices;
}

Result<> XenGuestLinks::wait_for_backends(const std::vector<Device>& devices, const char* state,
                                          std::chrono::milliseconds deadline) const {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (const Device& device : devices) {
    for (;;) {
      const auto now = store_.read(device.backend + "/state");
      if (now == state) break;
      if (!now)
        return fail(ErrorCode::kNotFound, fmt::format("the backend of {} is gone", device.name));
      if (std::chrono::steady_clock::now() >= end)
        return fail(ErrorCode::kBusy, fmt::format("the backend of {} stays in state {}, not {}",
                                                  device.name, state_text(*now), state));
      std::this_thread::sleep_for(kPollInterval);
    }
  }
  return {};
}

Result<> XenGuestLinks::disconnect(std::chrono::milliseconds deadline) {
  if (auto done = remember_store_port(); !done) return done;
  const std::vector<Device> all = devices();
  for (const Device& device : all)
    if (auto done = store_.write(device.frontend + "/state", kClosed); !done) return done;
  return wait_for_backends(all, kClosed, deadline);
}

Result<> XenGuestLinks::reconnect(std::chrono::milliseconds deadline) {
  const std::vector<Device> all = devices();
  for (const Device& device : all) {
    for (const std::string& key : store_.list(device.frontend))
      if (is_connection_key(key))
        if (auto done = store_.remove(device.frontend + "/" + key); !done) return done;
    if (auto done = store_.write(device.frontend + "/state", kInitialising); !done) return done;
  }
  return wait_for_backends(all, kInitWait, deadline);
}

Result<Gfn> XenGuestLinks::ring_frame(unsigned param) const {
  std::uint64_t frame = 0;
  if (xc_hvm_param_get(handles_.control.get(), domid_, param, &frame) != 0)
    return fail_os(errno, "asking for a ring's frame");
  return Gfn{frame};
}

// An empty ring: old indexes would make the other side read old requests. What xenstored has half
// read or half written of the old kernel's must not go on in it either
// (docs/misc/xenstore-ring.txt, "The ring reconnection feature"). The C one forgets it when the
// domain is introduced again, oxenstored when it finds in the ring that it should.
Result<> XenGuestLinks::ask_for_connection(Gfn ring) const {
  const XenGuestMemory memory(handles_, domid_);
  xenstore_domain_interface old{};
  if (auto done = read_ring(memory, ring, old); !done) return done;
  xenstore_domain_interface page{};
  // The server's: it sets them once.
  page.server_features =
      old.server_features & (XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
  page.connection = XENSTORE_RECONNECT;
  return write_guest(memory, address_of(ring), std::as_bytes(std::span(&page, 1)));
}

std::string XenGuestLinks::store_port_key() const {
  return fmt::format("/libxl/{}/hadump-store-port", domid_);
}

// After the reset there is no channel left to ask for its other end, and a crash run may go on in
// another process. Once: what counts is the number from when the domain was created, and an
// attempt that did not get it back must not be taken for it.
Result<> XenGuestLinks::remember_store_port() const {
  if (store_.read(store_port_key())) return {};
  const auto port = store_port_in_dom0(handles_.control.get(), domid_);
  return port ? store_.write(store_port_key(), std::to_string(*port)) : Result<>{};
}

// xenstored binds its end of the channel anew. oxenstored must get the number that it had, since it
// goes on looking for the guest's connection under that one (Xen 4.17
// tools/ocaml/xenstored/connections.ml, add_domain() and find_domain_by_port(); domain.ml,
// rebind_evtchn()): with another number it would not hear this guest, or take another guest for it.
Result<> XenGuestLinks::introduce(Gfn ring, unsigned port) const {
  static std::mutex one_at_a_time;  // two would take each other's numbers
  const std::lock_guard lock(one_at_a_time);
  constexpr int kAttempts = 5;
  const auto text = store_.read(store_port_key());
  const auto wanted = parse_decimal(text.value_or(""));
  for (int attempt = 1;; ++attempt) {
    // Without them xenstored may still get its number, and the C one does not need it.
    const auto lower = wanted ? TakenPorts::below(static_cast<std::uint32_t>(*wanted))
                              : Result<TakenPorts>(fail(ErrorCode::kNotFound, "not known"));
    if (!xs_introduce_domain(store_.handle(), domid_, ring.value, port))
      return fail_os(errno, "introducing the domain to xenstored");
    // Somebody else in dom0 can have let go of a lower number in between.
    if (!wanted || attempt == kAttempts ||
        store_port_in_dom0(handles_.control.get(), domid_) == *wanted)
      return {};
  }
}

Result<> XenGuestLinks::reopen_store_channel(unsigned port) {
  auto ring = ring_frame(HVM_PARAM_STORE_PFN);
  if (!ring) return fail(std::move(ring));
  if (auto done = ask_for_connection(*ring); !done) return done;
  const std::string home = fmt::format("/local/domain/{}", domid_);
  if (auto done = store_.write(home + "/store/port", std::to_string(port)); !done) return done;
  // Introducing again rebinds the event channel, at which oxenstored looks into the ring; resuming
  // makes the C one notice the domain's next shutdown (Xen 4.17 xenstored_domain.c, do_resume()).
  if (auto done = introduce(*ring, port); !done) return done;
  if (!xs_resume_domain(store_.handle(), domid_))
    return fail_os(errno, "resuming the domain in xenstored");
  return wait_for_connection(*ring);
}

// The next kernel uses the ring only when it is connected. A xenstored that does not know of
// reconnecting leaves the word as it is; one that has said it does must answer, or the next kernel
// would read the rest of an old message.
Result<> XenGuestLinks::wait_for_connection(Gfn ring) const {
  const XenGuestMemory memory(handles_, domid_);
  const auto end = std::chrono::steady_clock::now() + kReconnectDeadline;
  xenstore_domain_interface page{};
  for (;;) {
    if (auto done = read_ring(memory, ring, page); !done) return done;
    if (page.connection == XENSTORE_CONNECTED) return {};
    if (std::chrono::steady_clock::now() >= end) break;
    std::this_thread::sleep_for(kPollInterval);
  }
  if ((page.server_features & XENSTORE_SERVER_FEATURE_RECONNECTION) != 0)
    return fail(ErrorCode::kBusy, "xenstored does not reconnect to the guest");
  const std::uint32_t connected = XENSTORE_CONNECTED;
  const GuestPhys at{address_of(ring).value + offsetof(xenstore_domain_interface, connection)};
  return write_guest(memory, at, std::as_bytes(std::span(&connected, 1)));
}

Result<> XenGuestLinks::reopen_channels() {
  xc_interface* control = handles_.control.get();
  const int store_port = xc_evtchn_alloc_unbound(control, domid_, 0);
  const int console_port = xc_evtchn_alloc_unbound(control, domid_, 0);
  if (store_port < 0 || console_port < 0) return fail_os(errno, "allocating event channels");
  auto console = ring_frame(HVM_PARAM_CONSOLE_PFN);
  if (!console) return fail(std::move(console));
  if (auto done = zero_guest(XenGuestMemory(handles_, domid_), address_of(*console), kFrameSize);
      !done)
    return done;
  if (xc_hvm_param_set(control, domid_, HVM_PARAM_STORE_EVTCHN,
                       static_cast<std::uint64_t>(store_port)) != 0 ||
      xc_hvm_param_set(control, domid_, HVM_PARAM_CONSOLE_EVTCHN,
                       static_cast<std::uint64_t>(console_port)) != 0)
    return fail_os(errno, "telling the domain its event channels");
  if (auto done = reopen_store_channel(static_cast<unsigned>(store_port)); !done) return done;
  // xenconsoled watches this key and binds anew when the number has changed.
  return store_.write(fmt::format("/local/domain/{}/console/port", domid_),
                      std::to_string(console_port));
}

}  // namespace hadump
