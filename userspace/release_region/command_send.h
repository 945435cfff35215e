// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/stream/channel.h"
#include "core/stream/sender.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct SendOptions {
  bool help = false;
  std::string name;  ///< Of the file on the host; empty: the host chooses.
};

/// The world of `send`. Borrowed.
struct SendWorld {
  int input = 0;  ///< Read to its end.
  std::function<Result<std::unique_ptr<ByteChannel>>()> open_channel;
  StreamSender::World sender;
};

/// `send`: passes standard input on to the host; see release-region(8).
Result<SendOptions> parse_send(const std::vector<std::string>& args);
std::string help_send(const std::string& program);
int send_command(const CommandCall& call);
/// @return exit status: 0 when the host has all of it durably.
int run_send(const SendOptions& options, const SendWorld& world, const CommandCall& call);

}  // namespace hadump
