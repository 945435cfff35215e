// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/host_target.h"

#include <utility>

#include "core/stream/wire.h"

namespace hadump {

std::optional<std::string> host_stream_name(std::string_view to) {
  constexpr std::string_view kHost = "host:";
  if (!to.starts_with(kHost)) return {};
  return std::string(to.substr(kHost.size()));
}

Result<> check_host_target(std::string_view to) {
  const auto name = host_stream_name(to);
  if (!name)
    return fail(ErrorCode::kBadData,
                "--to host: or --to host:NAME is needed, NAME without a directory");
  if (name->empty()) return {};
  if (auto fine = check_stream_name(*name); !fine) return fail(std::move(fine), "--to");
  return {};
}

StreamSender::World host_world(std::function<bool()> cancelled) {
  return {std::move(cancelled), [] {
            return std::chrono::duration_cast<std::chrono::milliseconds>(
                std::chrono::steady_clock::now().time_since_epoch());
          }};
}

}  // namespace hadump
