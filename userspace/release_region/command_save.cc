// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_save.h"

#include <algorithm>

#include "core/base/host_name.h"
#include "core/base/text.h"
#include "core/save/save_plan.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/run_save.h"
#include "userspace/cli/save_program.h"
#include "userspace/cli/waiting_vmcore.h"
#include "userspace/release_region/host_sink.h"
#include "userspace/release_region/host_target.h"
#include "userspace/release_region/sysfs_releaser.h"
#include "userspace/release_region/waiting_dump.h"
#include "userspace/vchan/guest_channel.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description save_options() {
  using Words = std::vector<std::string>;
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("to", po::value<Words>()->multitoken()->composing()->value_name("PATH"),
       "file, directory, - (standard output), or host:[NAME], a file on the host of this guest. "
       "Several files: the dump is striped over them (kdump only)");
  describe_writing(options, "how much to make durable, and release, at a time");
  options.add_options()
      ("no-release", "keep the memory; a later save or release gives it back")
      ("release-lost", "also give back blocks with unreadable pages, which are then lost")
      ("with", po::value<Words>()->composing()->value_name("FILE"),
       "an incomplete dump of this crash that holds memory released since")
      ("without-earlier",
       "save the rest when the save that holds released memory cannot be found; the dump is "
       "incomplete")
      ("volatile-target", "release memory even when the target will not outlast the next boot")
      ("check", "only check the options and the target: exit status 0 or 2")
      ("wait", "if another process is saving this dump, wait until it ends")
      ("vmcore", po::value<Words>()->composing()->value_name("FILE"),
       "save this dump instead of /proc/vmcore, and release nothing; repeat for each part of a "
       "split dump")
      ("force", "with --vmcore: replace a file of the target's name, once the new dump is complete")
      ("location-fd", po::value<int>()->value_name("N"),
       "write the names of the finished dump's files to this descriptor, one a line, before saving")
      ("ack-fd", po::value<int>()->value_name("N"),
       "with --to -: release what the peer acknowledges in \"ack BYTES\" lines on this "
       "descriptor; without it, saving to a stream releases nothing");
  // clang-format on
  return options;
}

int check_only(const SaveOptions& options, const CommandCall& call) {
  if (auto checked = check_target(options.to, target_rules(options, {})); !checked) {
    complain(call, "save", checked.error().what());
    return checked.error().code() == ErrorCode::kBadData ? kExitUsage
                                                         : exit_code_of(checked.error());
  }
  return kExitOk;
}

/// Set up before the save, and asked after it: what the sink knew is gone with it.
std::shared_ptr<HostCopy> send_to_host(const std::string& name, SaveSeams& seams) {
  auto copy = std::make_shared<HostCopy>();
  seams.open_host = [copy, name,
                     cancelled = seams.cancelled]() -> Result<std::unique_ptr<DumpSink>> {
    auto channel = open_guest_channel(kHostPatience, cancelled);
    if (!channel) return fail(std::move(channel));
    auto sender = std::make_unique<StreamSender>(std::move(*channel), host_world(cancelled));
    if (auto opened = sender->open(name); !opened) return fail(std::move(opened));
    return open_host_sink(std::move(sender), copy);
  };
  return copy;
}

// Memory that was released is nowhere else.
void tell_of_part(const HostCopy& copy, const SaveConsole& console) {
  if (copy.whole || copy.durable == 0) return;
  console.log.error(
      "the host has the first {} of the dump as {}-incomplete (or the newest that "
      "has a number behind that), with all memory that was released; "
      "What to do next: keep it, and save the rest with --without-earlier",
      format_size(copy.durable), copy.file);
}

int call_save(const SaveCommandLine& command, const CommandCall& call) {
  if (command.save.vmcore_given && refuses_waiting(call, "save", command.save.vmcore))
    return kExitUsage;
  if (command.check) return check_only(command.save, call);
  const SaveProgram program(call.program, command, call.io);
  // A save of a file has nothing to do with the dump that waits.
  Result<WaitingDump> dump = fail(ErrorCode::kNotFound, "not asked for");
  if (!command.save.vmcore_given) dump = read_waiting_dump(kKernelDir);
  if (!dump && dump.error().code() != ErrorCode::kNotFound) {
    program.console().log.error("{}", dump.error().what());
    return exit_code_of(dump.error());
  }
  SysfsReleaser releaser(kKernelDir);
  SaveSeams seams = program.file_seams();
  if (dump) {
    seams.releaser = &releaser;
    seams.dump = *dump;
  }
  seams.host = host_name();
  seams.state_dir = kStateDir;
  if (!command.save.to_host) return run_save(command, seams, program.console());
  const auto copy = send_to_host(command.host_name, seams);
  const int status = run_save(command, seams, program.console());
  tell_of_part(*copy, program.console());
  return status;
}

// "host:NAME" is a stream of its own.
Result<> read_host(SaveCommandLine& command) {
  std::vector<std::string>& to = command.save.to;
  const auto is_host = [](const std::string& path) { return host_stream_name(path).has_value(); };
  if (std::none_of(to.begin(), to.end(), is_host)) return {};
  if (to.size() > 1) return fail(ErrorCode::kBadData, "the host cannot be one of several targets");
  if (auto checked = check_host_target(to.front()); !checked) return checked;
  command.host_name = *host_stream_name(to.front());
  command.save.to_host = true;
  to.front() = "-";
  return {};
}

}  // namespace

std::string help_save(const std::string& program) {
  return help_text(
      program,
      "save --to PATH [PATH…] [options]\n"
      "Writes the crashed kernel's log, then its memory in portions; each portion is given back\n"
      "to the running system once it is safe on disk. The same command continues an interrupted\n"
      "save.",
      save_options(),
      {{kExitOk, "success"},
       {kExitFailed, "failed; what is not saved is still held"},
       {kExitUsage, "wrong usage, or a target that is refused"},
       {kExitNothing, "nothing to do: no dump waits"},
       {kExitTargetFull, "the target is full; the partial dump is readable and can be continued"},
       {kExitIncomplete, "the dump is written, but some pages could not be read"},
       {kExitCancelled, "stopped by a signal; the partial dump is readable and can be continued"},
       {kExitHeld, "the dump is safe, but some memory could not be given back"},
       {kExitEarlier, "memory released earlier is in a save that cannot be found"},
       {kExitLocked, "another process is saving this dump"},
       {kExitFormat, "a dump of this format cannot have this memory: use kdump"}});
}

Result<SaveCommandLine> parse_save(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, save_options());
  if (!values) return fail(std::move(values));
  SaveCommandLine command;
  command.help = values->count("help") > 0;
  if (command.help) return command;
  command.check = values->count("check") > 0;
  SaveOptions& options = command.save;
  using Words = std::vector<std::string>;
  if (values->count("to") > 0) options.to = (*values)["to"].as<Words>();
  if (auto host = read_host(command); !host) return fail(std::move(host));
  if (values->count("with") > 0) options.with = (*values)["with"].as<Words>();
  if (auto read = read_writing(*values, command); !read) return fail(std::move(read));
  options.release = values->count("no-release") == 0;
  options.release_lost = values->count("release-lost") > 0;
  options.without_earlier = values->count("without-earlier") > 0;
  options.volatile_target = values->count("volatile-target") > 0;
  options.wait = values->count("wait") > 0;
  options.vmcore_given = values->count("vmcore") > 0;
  if (options.vmcore_given) options.vmcore = (*values)["vmcore"].as<Words>();
  options.force = values->count("force") > 0;
  if (options.force && !options.vmcore_given)
    return fail(ErrorCode::kBadData,
                "--force is for a dump that is a file (--vmcore): while a dump waits, its target's "
                "name belongs to no other file");
  if (values->count("ack-fd") > 0) options.ack_fd = (*values)["ack-fd"].as<int>();
  if (values->count("location-fd") > 0) command.location_fd = (*values)["location-fd"].as<int>();
  if (auto local = refuse_remote(options.to, "save --to - --no-release"); !local)
    return fail(std::move(local));
  if (auto checked = check_save(options); !checked) return fail(std::move(checked));
  return command;
}

int save_command(const CommandCall& call) {
  return parse_and_run(call, "save", parse_save, help_save, call_save);
}

}  // namespace hadump
