// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_send.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/base/units.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/signal_stop.h"
#include "userspace/release_region/host_target.h"
#include "userspace/vchan/guest_channel.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

// Large pieces: each wakes the host. A pipe gives 64 KiB at a time.
constexpr std::size_t kPieceBytes = 256_KiB;
// The host gives up who says nothing for ten minutes; makedumpfile may look for pages for longer.
constexpr std::chrono::milliseconds kSayEvery{60'000};
constexpr std::chrono::milliseconds kAskEvery{1000};

po::options_description send_options() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("to", po::value<std::string>()->value_name("host:[NAME]"),
       "the name of the file on the host; without a NAME the host chooses one");
  // clang-format on
  return options;
}

class Input {
 public:
  Input(int fd, std::function<bool()> cancelled) : fd_(fd), cancelled_(std::move(cancelled)) {}

  /// Whether there is something to read, or its end, within `patience`.
  Result<bool> wait(std::chrono::milliseconds patience) const {
    for (auto left = patience;; left -= kAskEvery) {
      if (cancelled_()) return fail(ErrorCode::kCancelled, "stopped");
      pollfd poll_for{fd_, POLLIN, 0};
      const auto slice = std::min(left, kAskEvery);
      const int ready = ::poll(&poll_for, 1, static_cast<int>(slice.count()));
      if (ready < 0 && errno != EINTR) return fail_os(errno, "waiting for standard input");
      if (ready > 0) return true;
      if (left <= kAskEvery) return false;
    }
  }

  /// Fills as much of `out` as there is without waiting for more. @return 0 at the end.
  Result<std::size_t> read(std::span<std::byte> out) const {
    std::size_t have = 0;
    while (have < out.size()) {
      const ssize_t got = ::read(fd_, out.data() + have, out.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_os(errno, "reading standard input");
      have += static_cast<std::size_t>(got);
      pollfd poll_for{fd_, POLLIN, 0};
      if (got == 0 || ::poll(&poll_for, 1, 0) <= 0) break;
    }
    return have;
  }

 private:
  int fd_;
  std::function<bool()> cancelled_;
};

Result<> send_rest(const Input& input, std::vector<std::byte>& buffer, std::size_t have,
                   StreamSender& sender) {
  for (;;) {
    if (auto sent = sender.send(std::span(buffer).first(have)); !sent) return sent;
    auto ready = input.wait(kSayEvery);
    while (ready && !*ready) {
      if (auto alive = sender.sync(); !alive) return alive;
      ready = input.wait(kSayEvery);
    }
    if (!ready) return fail(std::move(ready));
    auto got = input.read(buffer);
    if (!got) return fail(std::move(got));
    have = *got;
    if (have == 0) return sender.end();
  }
}

Result<> send_input(const SendOptions& options, const SendWorld& world,
                    std::unique_ptr<StreamSender>& sender) {
  const Input input(world.input, world.sender.cancelled);
  std::vector<std::byte> buffer(kPieceBytes);
  // Before the host is asked for anything: what writes it may have failed at once.
  Result<bool> ready = false;
  while (ready && !*ready) ready = input.wait(kSayEvery);
  if (!ready) return fail(std::move(ready));
  auto have = input.read(buffer);
  if (!have) return fail(std::move(have));
  if (*have == 0)
    return fail(ErrorCode::kBadData, "standard input is empty; nothing was sent to the host");
  auto channel = world.open_channel();
  if (!channel) return fail(std::move(channel));
  sender = std::make_unique<StreamSender>(std::move(*channel), world.sender);
  if (auto opened = sender->open(options.name); !opened) return opened;
  return send_rest(input, buffer, *have, *sender);
}

int call_send(const SendOptions& options, const CommandCall& call) {
  if (::isatty(STDIN_FILENO) == 1) {
    complain(call, "send", "standard input is a terminal; pipe a dump into it");
    return kExitUsage;
  }
  const SignalStop stop;
  const auto cancelled = [&stop] { return stop.requested(); };
  return run_send(options,
                  {STDIN_FILENO, [&] { return open_guest_channel(kHostPatience, cancelled); },
                   host_world(cancelled)},
                  call);
}

}  // namespace

std::string help_send(const std::string& program) {
  return help_text(program,
                   "send --to host:[NAME] <FILE\n"
                   "Sends standard input to the host of this Xen guest, without disk or network;\n"
                   "hadumpd there writes it to a file. Ends when that is durable.",
                   send_options(),
                   {{kExitOk, "all of it is durable on the host"},
                    {kExitFailed, "failed"},
                    {kExitUsage, "wrong usage"},
                    {kExitTargetFull, "the host has no room, or a quota is used up"},
                    {kExitCancelled, "stopped by a signal"}});
}

Result<SendOptions> parse_send(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, send_options());
  if (!values) return fail(std::move(values));
  SendOptions options;
  options.help = values->count("help") > 0;
  if (options.help) return options;
  const std::string to = values->count("to") > 0 ? (*values)["to"].as<std::string>() : "";
  if (auto checked = check_host_target(to); !checked) return fail(std::move(checked));
  options.name = *host_stream_name(to);
  return options;
}

int run_send(const SendOptions& options, const SendWorld& world, const CommandCall& call) {
  std::unique_ptr<StreamSender> sender;
  if (auto sent = send_input(options, world, sender); !sent) {
    complain(
        call, "send",
        sent.error().code() == ErrorCode::kCancelled ? "stopped by a signal" : sent.error().what());
    if (sender && sender->durable() != 0)
      complain(call, "send",
               fmt::format("the host has the first {} in a file {}-incomplete",
                           format_size(sender->durable()), sender->file()));
    return exit_code_of(sent.error());
  }
  complain(
      call, "send",
      fmt::format("{} are durable on the host as {}", format_size(sender->sent()), sender->file()));
  return kExitOk;
}

int send_command(const CommandCall& call) {
  return parse_and_run(call, "send", parse_send, help_send, call_send);
}

}  // namespace hadump
