// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_convert.h"

#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/run_save.h"
#include "userspace/cli/save_program.h"
#include "userspace/cli/waiting_vmcore.h"

namespace hadump {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

po::options_description convert_options() {
  po::options_description options("Options");
  options.add_options()("help,h", "show this text");
  describe_writing(options, "how much to make durable at a time");
  // clang-format off
  options.add_options()
      ("vmcore", po::value<Words>()->composing()->value_name("FILE"), "a further part of a split dump")
      ("force", "replace OUT if it is a file, once the new dump is complete");
  // clang-format on
  return options;
}

int call_convert(const SaveCommandLine& command, const CommandCall& call) {
  if (refuses_waiting(call, "convert", command.save.vmcore)) return kExitUsage;
  const SaveProgram program(call.program + " convert", command, call.io);
  return run_save(command, program.file_seams(), program.console());
}

}  // namespace

std::string help_convert(const std::string& program) {
  return help_text(
      program,
      "convert IN OUT [options]\n"
      "Writes the dump IN (ELF core, kdump-compressed, flattened) to OUT in another format, with\n"
      "another compression, or with fewer pages. IN may be - for standard input, OUT for standard\n"
      "output.",
      convert_options(),
      {{kExitOk, "success"},
       {kExitFailed, "failed"},
       {kExitUsage, "wrong usage, or OUT is refused"},
       {kExitTargetFull, "no room for OUT"},
       {kExitIncomplete, "OUT is written, but IN is incomplete or some pages could not be read"},
       {kExitCancelled, "stopped by a signal"},
       {kExitFormat, "a dump of this format cannot have this memory: use kdump"}});
}

Result<SaveCommandLine> parse_convert(const std::vector<std::string>& args) {
  po::options_description known = convert_options();
  known.add_options()("file", po::value<Words>());
  po::positional_options_description positional;
  positional.add("file", 2);
  auto values = parse_command_line(args, known, positional);
  if (!values) return fail(std::move(values));
  SaveCommandLine command;
  command.help = values->count("help") > 0;
  if (command.help) return command;
  const Words files = values->count("file") > 0 ? (*values)["file"].as<Words>() : Words{};
  if (files.size() != 2) return fail(ErrorCode::kBadData, "IN and OUT are needed");
  command.save.vmcore_given = true;
  command.save.vmcore = {files[0]};
  command.save.to = {files[1]};
  command.save.force = values->count("force") > 0;
  if (values->count("vmcore") > 0)
    for (const std::string& part : (*values)["vmcore"].as<Words>())
      command.save.vmcore.push_back(part);
  if (auto read = read_writing(*values, command); !read) return fail(std::move(read));
  if (auto local = refuse_remote(command.save.to, "convert IN -"); !local)
    return fail(std::move(local));
  if (auto checked = check_save(command.save); !checked) return fail(std::move(checked));
  return command;
}

int convert_command(const CommandCall& call) {
  return parse_and_run(call, "convert", parse_convert, help_convert, call_convert);
}

}  // namespace hadump
