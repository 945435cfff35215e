// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/receive_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/units.h"
#include "core/stream/receiver.h"

namespace hadump {
namespace {

constexpr std::size_t kBufferBytes = 256_KiB;
constexpr std::chrono::milliseconds kLookEvery{1000};
// For the last word, when the guest's ring is full: a guest that does not read is not waited for.
constexpr std::chrono::milliseconds kLastWord{5000};

class Reception {
 public:
  explicit Reception(const ReceiveWorld& world)
      : world_(world), receiver_(world.store), buffer_(kBufferBytes) {}

  Result<ReceivedStream> run() {
    last_progress_ = last_check_ = world_.now();
    while (!receiver_.is_over()) {
      auto done = step();
      if (!done) receiver_.stop(done.error());
    }
    say_last_word();
    if (receiver_.error()) return tl::unexpected(*receiver_.error());
    return ReceivedStream{receiver_.name(), receiver_.received()};
  }

 private:
  Result<> step() {
    auto said = say();
    if (!said) return fail(std::move(said), "answering the guest");
    std::size_t got = 0;
    // What the guest does not read bounds what is read of it.
    if (receiver_.replies().empty()) {
      auto heard = world_.channel.read(buffer_);
      if (!heard) return fail(std::move(heard), "the guest has closed the stream too early");
      got = *heard;
      receiver_.feed(std::span(buffer_).first(got));
      // Also what was durable before the last bytes have ended it: the file is kept for that.
      if (!receiver_.name().empty() && got != 0)
        world_.show(receiver_.name(), receiver_.received(), receiver_.durable());
    }
    const auto now = world_.now();
    if (*said || got != 0) last_progress_ = now;
    if (now - last_progress_ > world_.silence)
      return fail(
          ErrorCode::kBusy,
          fmt::format("the guest has stood still for {} s",
                      std::chrono::duration_cast<std::chrono::seconds>(world_.silence).count()));
    if (now - last_check_ >= kLookEvery) {
      last_check_ = now;
      if (auto fine = world_.check(); !fine) return fine;
    }
    if (!*said && got == 0) return world_.channel.wait(std::min(world_.silence, kLookEvery));
    return {};
  }

  /// @return whether anything was said.
  Result<bool> say() {
    auto& replies = receiver_.replies();
    if (replies.empty()) return false;
    auto written = world_.channel.write(replies);
    if (!written) return fail(std::move(written));
    replies.erase(replies.begin(), replies.begin() + static_cast<std::ptrdiff_t>(*written));
    return *written != 0;
  }

  // It may have gone, and then nobody wants to know.
  void say_last_word() {
    const auto begun = world_.now();
    while (!receiver_.replies().empty() &&
           world_.now() - begun < std::min(world_.silence, kLastWord)) {
      const auto said = say();
      if (!said) return;
      if (!*said && !world_.channel.wait(std::min(world_.silence, kLookEvery))) return;
    }
  }

  const ReceiveWorld& world_;
  StreamReceiver receiver_;
  std::vector<std::byte> buffer_;
  std::chrono::milliseconds last_progress_{};
  std::chrono::milliseconds last_check_{};
};

}  // namespace

Result<ReceivedStream> receive_stream(const ReceiveWorld& world) {
  return Reception(world).run();
}

}  // namespace hadump
