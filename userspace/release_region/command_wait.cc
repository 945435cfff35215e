// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_wait.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "core/base/file.h"
#include "core/base/text.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {
namespace {

namespace po = boost::program_options;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kOnlineLimit{10};
constexpr std::uint64_t kMaxTimeout = 366ULL * 86400;

po::options_description wait_options() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("memory", po::value<std::string>()->value_name("SIZE"),
       "until this much memory is available, even if more is still held")
      ("timeout", po::value<std::string>()->value_name("SECONDS"), "no longer than this");
  // clang-format on
  return options;
}

bool dump_waits(const WaitWorld& world) {
  return ::access((world.kernel_dir + "/release_region").c_str(), F_OK) == 0;
}

bool is_offline(const std::filesystem::path& block) {
  const auto state = read_text_file(block / "state", 64);
  return state && state->starts_with("offline");
}

// What has been given back is brought online by udev, or by the kernel itself, a moment later.
bool all_is_online(const WaitWorld& world) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(world.memory_dir, error), end; !error && at != end;
       at.increment(error))
    if (at->path().filename().string().starts_with("memory") && is_offline(at->path()))
      return false;
  return true;
}

// Bytes that programs can have without swapping, as the kernel estimates them; 0: not known.
std::uint64_t available(const WaitWorld& world) {
  constexpr std::string_view kName = "MemAvailable:";
  const auto text = read_text_file(world.meminfo, 65536);
  if (!text) return 0;
  std::size_t at = text->find(kName);
  if (at == std::string::npos) return 0;
  at = text->find_first_not_of(' ', at + kName.size());
  if (at == std::string::npos) return 0;
  const auto kib = parse_decimal(text->substr(at, text->find(' ', at) - at));
  return kib ? *kib << 10 : 0;
}

int call_wait(const WaitOptions& options, const CommandCall& call) {
  const SteadyClock clock;
  return run_wait(options,
                  {kKernelDir, "/sys/devices/system/memory", "/proc/meminfo", clock,
                   [] { std::this_thread::sleep_for(seconds(1)); }},
                  call.io);
}

}  // namespace

std::string help_wait(const std::string& program) {
  return help_text(program,
                   "wait [--memory SIZE] [--timeout SECONDS]\n"
                   "Waits until no dump waits and the memory that was given back is online.",
                   wait_options(),
                   {{kExitOk, "the memory is back, or enough of it with --memory"},
                    {kExitFailed, "memory is still held after --timeout"},
                    {kExitUsage, "wrong usage"}});
}

Result<WaitOptions> parse_wait(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, wait_options());
  if (!values) return fail(std::move(values));
  WaitOptions options;
  options.help = values->count("help") > 0;
  if (values->count("memory") > 0) {
    auto size = parse_size((*values)["memory"].as<std::string>());
    if (!size) return fail(std::move(size), "--memory");
    options.memory = *size;
  }
  if (values->count("timeout") > 0) {
    const auto text = (*values)["timeout"].as<std::string>();
    auto number = parse_decimal(text);
    if (!number) return fail(std::move(number), "--timeout");
    if (*number > kMaxTimeout)
      return fail(ErrorCode::kBadData,
                  fmt::format("--timeout: {} is more than {}", text, kMaxTimeout));
    options.timeout = seconds(*number);
  }
  return options;
}

int run_wait(const WaitOptions& options, const WaitWorld& world, Streams io) {
  const milliseconds begin = world.clock.now();
  std::optional<milliseconds> over;  // since when no dump waits
  for (;; world.pause()) {
    const milliseconds now = world.clock.now();
    if (options.memory && available(world) >= *options.memory) return kExitOk;
    if (!dump_waits(world)) {
      if (!over) over = now;
      if (all_is_online(world) || now - *over >= kOnlineLimit) return kExitOk;
    }
    if (!options.timeout || now - begin < *options.timeout) continue;
    io.err << fmt::format("release-region wait: memory is still held after {} s\n",
                          options.timeout->count());
    return kExitFailed;
  }
}

int wait_command(const CommandCall& call) {
  return parse_and_run(call, "wait", parse_wait, help_wait, call_wait);
}

}  // namespace hadump
