// SPDX-License-Identifier: GPL-2.0-or-later
// release-region: save the dump of a crashed kernel, and give its memory back.
#include <vector>

#include "userspace/dump_tools/file_commands.h"
#include "userspace/release_region/command_release.h"
#include "userspace/release_region/command_save.h"
#include "userspace/release_region/command_save_with.h"
#include "userspace/release_region/command_send.h"
#include "userspace/release_region/command_show.h"
#include "userspace/release_region/command_status.h"
#include "userspace/release_region/command_wait.h"

namespace hadump {
namespace {

constexpr Command kCommands[] = {
    {"show", "list the old memory's ranges and their states", help_show, show_command},
    {"status", "show whether a dump waits, and its progress", help_status, status_command},
    {"save", "save the dump, and give its memory back as it becomes durable", help_save,
     save_command},
    {"save-with", "have another program save the dump, then give all memory back", help_save_with,
     save_with_command},
    {"wait", "wait until the memory is back, or enough of it", help_wait, wait_command},
    {"send", "send standard input to the host of this guest", help_send, send_command},
    {"release", "give one range back, whether or not it is saved", help_release, release_command},
};

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  std::vector<hadump::Command> commands(std::begin(hadump::kCommands), std::end(hadump::kCommands));
  for (const hadump::Command& command : hadump::file_commands()) commands.push_back(command);
  return hadump::run_program("release-region", HADUMP_VERSION, commands, argc, argv);
}
