// SPDX-License-Identifier: GPL-2.0-or-later
// How a guest offers its host a channel: docs/spec/stream.md.
#include "userspace/vchan/guest_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

extern "C" {
#include <libxenvchan.h>
#include <xenstore.h>
#include <xentoollog.h>
}

#include "core/abi/hadump_abi.h"
#include "core/base/file.h"
#include "core/base/units.h"
#include "userspace/vchan/vchan_channel.h"

namespace hadump {
namespace {

constexpr const char* kGrantDevice = "/dev/xen/gntalloc";
constexpr std::size_t kAnswerBytes = 1_KiB;
constexpr std::size_t kRingBytes[] = {1_MiB, 256_KiB};
constexpr std::chrono::milliseconds kLookEvery{1000};

using StoreHandle = UniqueHandle<xs_handle, xs_close>;

// The library would write to standard error by itself; what it returns is what counts.
void drop_message(xentoollog_logger* /*logger*/, xentoollog_level /*level*/, int /*error*/,
                  const char* /*context*/, const char* /*format*/, va_list /*arguments*/) {}
void drop_progress(xentoollog_logger* /*logger*/, const char* /*context*/, const char* /*what*/,
                   int /*percent*/, unsigned long /*done*/, unsigned long /*total*/) {}
void keep_logger(xentoollog_logger* /*logger*/) {}

Result<> check_devices() {
  if (::access("/sys/hypervisor", F_OK) == 0 || ::access("/dev/xen", F_OK) == 0) {
    for (const char* device : {kGrantDevice, "/dev/xen/evtchn", "/dev/xen/xenbus"})
      if (::access(device, F_OK) != 0)
        return fail(ErrorCode::kNotFound,
                    fmt::format("{} is missing; load the kernel's modules: modprobe -a "
                                "xen-gntalloc xen-gntdev xen-evtchn",
                                device));
    return {};
  }
  return fail(ErrorCode::kNotFound, "this is not a Xen guest: there is no /dev/xen");
}

/// A slot that no other process of this guest has; it is free again when the descriptor is closed,
/// whatever ends the process.
struct Slot {
  UniqueFd lock;
  unsigned number = 0;
};

Result<Slot> take_slot() {
  auto device = open_file(kGrantDevice, O_RDWR);
  if (!device) return fail(std::move(device));
  for (unsigned number = 0; number < HADUMP_XS_STREAM_SLOTS; ++number) {
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = number;
    range.l_len = 1;
    if (::fcntl(device->get(), F_OFD_SETLK, &range) == 0) return Slot{std::move(*device), number};
    if (errno != EAGAIN && errno != EACCES)
      return fail_os(errno, fmt::format("locking {}", kGrantDevice));
  }
  return fail(ErrorCode::kBusy,
              fmt::format("{} processes are sending to the host already; wait until one has ended",
                          HADUMP_XS_STREAM_SLOTS));
}

Result<std::string> home(xs_handle* store) {
  unsigned length = 0;
  char* const domid = static_cast<char*>(xs_read(store, XBT_NULL, "domid", &length));
  if (domid == nullptr) return fail_os(errno, "reading this domain's number from xenstore");
  const std::string path = fmt::format("/local/domain/{}", std::string(domid, length));
  std::free(domid);
  return path;
}

Result<std::string> random_id() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof(number), 0) != sizeof(number))
    return fail_os(errno, "getting random numbers");
  return fmt::format("{:016x}", number);
}

/// The guest's end, with the slot that it has.
class GuestChannel : public ByteChannel {
 public:
  GuestChannel(Slot slot, StoreHandle store, std::string path)
      : slot_(std::move(slot)), store_(std::move(store)), path_(std::move(path)) {}
  ~GuestChannel() override {
    channel_.reset();
    remove();
  }

  Result<> offer() {
    remove();  // What a process has left that was killed.
    VchanHandle vchan;
    for (std::size_t bytes : kRingBytes) {
      vchan.reset(
          libxenvchan_server_init(&logger_, /*domain=*/0, path_.c_str(), kAnswerBytes, bytes));
      if (vchan) break;
    }
    if (!vchan)
      return fail_os(errno, fmt::format("granting the host memory through {}", kGrantDevice));
    channel_.emplace(std::move(vchan));
    auto id = random_id();
    if (!id) return fail(std::move(id));
    if (!xs_write(store_.get(), XBT_NULL, (path_ + "/" HADUMP_XS_STREAM_ID).c_str(), id->data(),
                  static_cast<unsigned>(id->size())))
      return fail_os(errno, fmt::format("writing {} to xenstore", path_));
    return {};
  }
  bool is_connected() const { return channel_->is_connected(); }

  Result<std::size_t> read(std::span<std::byte> out) override { return channel_->read(out); }
  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    return channel_->write(bytes);
  }
  Result<> wait(std::chrono::milliseconds patience) override { return channel_->wait(patience); }

 private:
  // Not there: that is what is wanted.
  void remove() { static_cast<void>(xs_rm(store_.get(), XBT_NULL, path_.c_str())); }

  xentoollog_logger logger_{drop_message, drop_progress, keep_logger};
  Slot slot_;
  StoreHandle store_;
  std::string path_;
  std::optional<VchanChannel> channel_;
};

}  // namespace

Result<std::unique_ptr<ByteChannel>> open_guest_channel(std::chrono::seconds patience,
                                                        const std::function<bool()>& cancelled) {
  if (auto there = check_devices(); !there) return fail(std::move(there));
  auto slot = take_slot();
  if (!slot) return fail(std::move(slot));
  StoreHandle store(xs_open(0));
  if (!store) return fail_os(errno, "connecting to xenstore");
  auto domain = home(store.get());
  if (!domain) return fail(std::move(domain));
  const std::string path =
      fmt::format("{}/{}/{}/{}", *domain, HADUMP_XS_GUEST, HADUMP_XS_STREAMS, slot->number);
  auto channel = std::make_unique<GuestChannel>(std::move(*slot), std::move(store), path);
  if (auto offered = channel->offer(); !offered) return fail(std::move(offered));
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!channel->is_connected()) {
    if (cancelled()) return fail(ErrorCode::kCancelled, "stopped");
    if (std::chrono::steady_clock::now() >= end)
      return fail(ErrorCode::kBusy,
                  fmt::format("the host has not connected within {} s; does hadumpd run there, and "
                              "does its configuration say 'stream = yes' for this domain?",
                              patience.count()));
    if (auto waited = channel->wait(kLookEvery); !waited) return fail(std::move(waited));
  }
  return channel;
}

}  // namespace hadump
