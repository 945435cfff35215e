// SPDX-License-Identifier: GPL-2.0-or-later
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/json_text.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/command.h"
#include "hv/hadumpd/status_socket.h"
#include "hv/xen/domain_reader.h"
#include "userspace/dump_tools/file_commands.h"

namespace {

using namespace hadump;
using Json = nlohmann::ordered_json;

std::uint64_t now_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

Result<Json> ask(const std::string& socket, const Json& request) {
  auto line = ask_daemon(socket, json_text(request));
  if (!line) return fail(std::move(line));
  return parse_answer(*line);
}

int run(const std::vector<std::string>& arguments, CommandWorld& world) {
  auto found = find_command(arguments);
  if (!found) return complain(world, found.error().what() + "; try hadump --help", kAdminUsage);
  if (found->version) {
    world.out << "hadump " << HADUMP_VERSION << '\n';
    return kAdminOk;
  }
  if (found->help) {
    world.out << (found->command == nullptr ? admin_help() : command_help(*found->command));
    return kAdminOk;
  }
  auto command = found->command->parse(found->arguments);
  if (!command)
    return complain(
        world,
        command.error().what() + "; try hadump " + std::string(found->command->name) + " --help",
        kAdminUsage);
  return (*command)(world);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::ranges::find(file_commands(), std::string_view(argv[1]), &Command::name) !=
                      file_commands().end())
    // A dump that waits is a guest's.
    return run_program("hadump", HADUMP_VERSION, file_commands(), argc, argv, true);
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));  // an error of a write, with a message
  // What failed is said by its caller, with the cause.
  XenLog xen([](const std::string&) {});
  CommandWorld world{ask,
                     std::cout,
                     std::cerr,
                     now_ms,
                     [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); },
                     isatty(STDERR_FILENO) == 1,
                     [&xen](unsigned domid) -> Result<std::unique_ptr<GuestMemory>> {
                       return std::make_unique<XenDomainReader>(xen, domid);
                     },
                     [&xen](unsigned domid) { return uuid_of_domain(xen, domid); }};
  const int code = run({argv + 1, argv + argc}, world);
  if (std::cout.flush()) return code;
  return complain(world, "writing to standard output failed", kAdminFailed);
}
