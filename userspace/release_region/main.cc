// SPDX-License-Identifier: GPL-2.0-or-later
// release-region: save the dump of a crashed kernel, and give its memory back.
#include "userspace/dump_tools/command_convert.h"
#include "userspace/dump_tools/command_dmesg.h"
#include "userspace/dump_tools/command_estimate.h"
#include "userspace/dump_tools/command_info.h"
#include "userspace/dump_tools/command_verify.h"
#include "userspace/release_region/command_release.h"
#include "userspace/release_region/command_save.h"
#include "userspace/release_region/command_show.h"
#include "userspace/release_region/command_status.h"

namespace hadump {
namespace {

constexpr Command kCommands[] = {
    {"show", "list the old memory's ranges and their states", help_show, show_command},
    {"status", "show whether a dump waits, and its progress", help_status, status_command},
    {"save", "save the dump, and give its memory back as it becomes durable", help_save,
     save_command},
    {"release", "give one range back, whether or not it is saved", help_release, release_command},
    {"estimate", "predict how large a dump would be, and whether it fits", help_estimate,
     estimate_command},
    {"convert", "write a dump in another format, or with fewer pages", help_convert,
     convert_command},
    {"dmesg", "print the crashed kernel's log", help_dmesg, dmesg_command},
    {"info", "show what a dump contains", help_info, info_command},
    {"verify", "read every page of a dump and check its tables", help_verify, verify_command},
};

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  return hadump::run_program("release-region", HADUMP_VERSION, hadump::kCommands, argc, argv);
}
