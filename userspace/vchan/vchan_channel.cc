// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/vchan/vchan_channel.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

extern "C" {
#include <libxenvchan.h>
}

#include "core/base/units.h"

namespace hadump {
namespace {

// The library counts in int.
constexpr std::size_t kMostAtOnce = 1_MiB;
// libxenvchan_is_open(): the server's client has not come yet.
constexpr int kNotYet = 2;

}  // namespace

void CloseVchan::operator()(libxenvchan* vchan) const noexcept {
  libxenvchan_close(vchan);
}

VchanChannel::VchanChannel(VchanHandle vchan) : vchan_(std::move(vchan)) {
  vchan_->blocking = 0;
}

bool VchanChannel::is_connected() const {
  return libxenvchan_is_open(vchan_.get()) != kNotYet;
}

Result<std::size_t> VchanChannel::read(std::span<std::byte> out) {
  const std::size_t size = std::min(out.size(), kMostAtOnce);
  if (size == 0) return std::size_t{0};
  int got = libxenvchan_read(vchan_.get(), out.data(), size);
  // It may have written and closed after the library looked for bytes, and before it looked whether
  // the other end was open.
  if (got < 0 && libxenvchan_data_ready(vchan_.get()) > 0)
    got = libxenvchan_read(vchan_.get(), out.data(), size);
  if (got < 0) return fail_os(EPIPE, "reading the channel");
  return static_cast<std::size_t>(got);
}

Result<std::size_t> VchanChannel::write(std::span<const std::byte> bytes) {
  const std::size_t size = std::min(bytes.size(), kMostAtOnce);
  if (size == 0) return std::size_t{0};
  const int put = libxenvchan_write(vchan_.get(), bytes.data(), size);
  if (put < 0) return fail_os(EPIPE, "writing to the channel");
  return static_cast<std::size_t>(put);
}

// Only an event that is there already is taken: the library's own wait has no end.
Result<> VchanChannel::wait(std::chrono::milliseconds patience) {
  pollfd event{libxenvchan_fd_for_select(vchan_.get()), POLLIN, 0};
  const int ready = ::poll(&event, 1, static_cast<int>(patience.count()));
  if (ready < 0 && errno != EINTR) return fail_os(errno, "waiting for an event channel");
  if (ready > 0 && libxenvchan_wait(vchan_.get()) != 0)
    return fail_os(errno, "taking an event of an event channel");
  return {};
}

}  // namespace hadump
