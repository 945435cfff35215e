// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/file_commands.h"

#include "userspace/dump_tools/command_convert.h"
#include "userspace/dump_tools/command_dmesg.h"
#include "userspace/dump_tools/command_estimate.h"
#include "userspace/dump_tools/command_info.h"
#include "userspace/dump_tools/command_verify.h"

namespace hadump {
namespace {

constexpr Command kCommands[] = {
    {"estimate", "predict how large a dump would be, and whether it fits", help_estimate,
     estimate_command},
    {"convert", "write a dump in another format, or with fewer pages", help_convert,
     convert_command},
    {"dmesg", "print the crashed kernel's log", help_dmesg, dmesg_command},
    {"info", "show what a dump contains", help_info, info_command},
    {"verify", "read every page of a dump and check its tables", help_verify, verify_command},
};

}  // namespace

std::span<const Command> file_commands() {
  return kCommands;
}

}  // namespace hadump
