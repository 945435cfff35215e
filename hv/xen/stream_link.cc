// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/stream_link.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "core/abi/hadump_abi.h"
#include "hv/xen/xen_store.h"
#include "userspace/vchan/vchan_channel.h"

namespace hadump {
namespace {

constexpr std::size_t kStreamIdDigits = 16;

std::string slot_path(unsigned domid, unsigned slot) {
  return fmt::format("/local/domain/{}/{}/{}/{}", domid, HADUMP_XS_GUEST, HADUMP_XS_STREAMS, slot);
}

bool is_stream_id(const std::string& text) {
  return text.size() == kStreamIdDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Result<std::unique_ptr<ByteChannel>> connect_stream(XenLog& log, unsigned domid, unsigned slot) {
  for (const char* device : {"/dev/xen/gntdev", "/dev/xen/evtchn"})
    if (access(device, F_OK) != 0)
      return fail_os(errno, fmt::format("no stream can be received (modprobe -a xen-gntdev "
                                        "xen-evtchn): looking for {}",
                                        device));
  const std::string path = slot_path(domid, slot);
  VchanHandle vchan(libxenvchan_client_init(log.get(), static_cast<int>(domid), path.c_str()));
  if (!vchan) return fail_os(errno, "mapping the ring that the guest offers at " + path);
  return std::make_unique<VchanChannel>(std::move(vchan));
}

GuestNews read_stream_offers(xs_handle* store, unsigned domid) {
  GuestNews offers;
  const XenStore tree(store);
  for (unsigned slot = 0; slot < HADUMP_XS_STREAM_SLOTS; ++slot) {
    const auto id = tree.read(slot_path(domid, slot) + "/" HADUMP_XS_STREAM_ID);
    if (id && is_stream_id(*id)) offers.keys.emplace(std::to_string(slot), *id);
  }
  return offers;
}

}  // namespace hadump
