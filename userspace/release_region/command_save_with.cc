// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_save_with.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/host_name.h"
#include "core/base/shortage.h"
#include "core/base/text.h"
#include "core/save/target.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/save_program.h"
#include "userspace/release_region/sysfs_releaser.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description save_with_options() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("into", po::value<std::string>()->value_name("DIR"),
       "the directory that PROGRAM writes to: it must outlast the next boot, and what is on its file "
       "system must become durable without an error")
      ("volatile-target", "release memory even when that will not outlast the next boot")
      ("check", "only check the options and the program's path: exit status 0 or 2")
      ("wait", "if another process is saving this dump, wait until it ends");
  // clang-format on
  return options;
}

class LogReporter : public SaveReporter {
 public:
  explicit LogReporter(spdlog::logger& log) : log_(log) {}
  void info(const std::string& text) override { log_.info("{}", text); }
  void warn(const std::string& text) override { log_.warn("{}", text); }
  void located(const std::vector<std::string>&) override {}
  void progress(const SaveProgress&) override {}
  void finished(const SaveProgress&) override {}

 private:
  spdlog::logger& log_;
};

int exit_code_of(const SaveWithFailure& failure) {
  using Reason = SaveWithFailure::Reason;
  if (is_shortage(failure.error.os_errno())) return kExitShort;
  switch (failure.reason) {
    case Reason::kNoDump:
      return kExitNothing;
    case Reason::kLacksEarlier:
      return kExitEarlier;
    case Reason::kTarget:
    case Reason::kNoProgram:
      return kExitUsage;
    case Reason::kLocked:
      return kExitLocked;
    case Reason::kStopped:
      return kExitCancelled;
    case Reason::kError:
      return exit_code_of(failure.error);
    case Reason::kProgram:
    case Reason::kTaken:
      break;
  }
  return kExitFailed;
}

const char* what_next(SaveWithFailure::Reason reason) {
  using Reason = SaveWithFailure::Reason;
  switch (reason) {
    case Reason::kLocked:
      return "leave it to that save, or wait for its end with --wait";
    case Reason::kLacksEarlier:
      return "continue the save that has that memory: release-region save --to PLACE-OF-THAT-SAVE";
    case Reason::kTarget:
      return "save to a directory on a disk that only root can change; --volatile-target releases "
             "memory all the same";
    case Reason::kTaken:
      return "save the rest: release-region save --to PATH --without-earlier, and keep what the "
             "program has written";
    default:
      return "run the same command again, or save with release-region save --to PATH";
  }
}

int report(const SaveWithFailure& failure, spdlog::logger& log) {
  if (failure.reason == SaveWithFailure::Reason::kNoDump) {
    log.info("no dump waits: nothing to do");
    return kExitNothing;
  }
  const bool asked = failure.error.code() == ErrorCode::kCancelled;
  log.error("{}{}", asked ? "stopped: " : "", failure.error.what());
  log.error("this command has released nothing. What to do next: {}", what_next(failure.reason));
  return exit_code_of(failure);
}

int call_save_with(const SaveWithCommandLine& command, const CommandCall& call) {
  const SaveProgram program(call.program, {}, call.io);
  SaveSeams seams = program.file_seams();
  seams.state_dir = kStateDir;
  seams.host = host_name();
  if (command.check) {
    auto checked = check_save_with(command.save, seams);
    if (!checked) complain(call, "save-with", checked.error().what());
    if (checked) return kExitOk;
    return is_shortage(checked.error().os_errno()) ? kExitShort : kExitUsage;
  }
  auto dump = read_waiting_dump(kKernelDir);
  if (!dump) return no_dump(call, "save-with", dump.error());
  SysfsReleaser releaser(kKernelDir);
  seams.releaser = &releaser;
  seams.dump = *dump;
  return run_save_with(command, seams, run_child_program, program.console().log);
}

}  // namespace

std::string help_save_with(const std::string& program) {
  return help_text(
      program,
      "save-with [options] -- PROGRAM [ARGUMENT…]\n"
      "Has another program save the waiting dump from /proc/vmcore. All memory is given back when\n"
      "it has ended with status 0, nothing was released meanwhile, and the machine's disks have\n"
      "written what it wrote; nothing otherwise. PROGRAM is an absolute path; no shell reads the\n"
      "arguments. {} in them stands for HOST-TIME, the name of this dump.",
      save_with_options(),
      {{kExitOk, "the dump is saved, and all memory is back"},
       {kExitFailed,
        "PROGRAM failed, memory was released while it read, or a disk could not write"},
       {kExitUsage, "wrong usage, a DIR that is refused, or PROGRAM cannot be started"},
       {kExitNothing, "nothing to do: no dump waits"},
       {kExitCancelled, "stopped by a signal, or PROGRAM was"},
       {kExitHeld, "the dump is safe, but some memory could not be given back"},
       {kExitEarlier, "memory was released before; no other program can read that"},
       {kExitLocked, "another process is saving this dump"}});
}

Result<SaveWithCommandLine> parse_save_with(const std::vector<std::string>& args) {
  const auto end = std::find(args.begin(), args.end(), "--");
  auto values = parse_command_line({args.begin(), end}, save_with_options());
  if (!values) return fail(std::move(values));
  SaveWithCommandLine command;
  command.help = values->count("help") > 0;
  if (command.help) return command;
  command.check = values->count("check") > 0;
  if (values->count("into") > 0) command.save.into = (*values)["into"].as<std::string>();
  command.save.volatile_target = values->count("volatile-target") > 0;
  command.save.wait = values->count("wait") > 0;
  if (end != args.end()) command.save.words.assign(end + 1, args.end());
  if (command.save.words.empty())
    return fail(ErrorCode::kBadData, "no program: -- PROGRAM is needed");
  return command;
}

int run_save_with(const SaveWithCommandLine& command, const SaveSeams& seams, const RunProgram& run,
                  spdlog::logger& log) {
  SaveWithOptions options = command.save;
  const std::string name =
      dump_directory_name({seams.host, seams.dump->crash_time, seams.dump->dump_id});
  for (std::size_t i = 1; i < options.words.size(); ++i)
    for (std::size_t at = 0; (at = options.words[i].find("{}", at)) != std::string::npos;
         at += name.size())
      options.words[i].replace(at, 2, name);
  LogReporter reporter(log);
  log.info("saving with {}", fmt::join(options.words, " "));
  const auto outcome = save_with(options, seams, run, reporter);
  if (!outcome) return report(outcome.error(), log);
  if (outcome->released_now) log.info("the program had saved this dump before");
  log.info("{} given back in this run; {}", format_size(outcome->bytes_released),
           outcome->all_back ? "all memory is back" : "some memory is still held");
  return outcome->all_back ? kExitOk : kExitHeld;
}

int save_with_command(const CommandCall& call) {
  return parse_and_run(call, "save-with", parse_save_with, help_save_with, call_save_with);
}

}  // namespace hadump
