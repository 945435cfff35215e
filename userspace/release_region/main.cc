// SPDX-License-Identifier: GPL-2.0-or-later
// release-region: save the dump of a crashed kernel, and give its memory back.
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "core/dump/file_sink.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/json_log.h"
#include "userspace/cli/signal_stop.h"
#include "userspace/dump_tools/command_convert.h"
#include "userspace/dump_tools/command_estimate.h"
#include "userspace/dump_tools/command_info.h"
#include "userspace/dump_tools/command_verify.h"
#include "userspace/dump_tools/kdump_check.h"
#include "userspace/release_region/command_release.h"
#include "userspace/release_region/command_save.h"
#include "userspace/release_region/command_show.h"
#include "userspace/release_region/command_status.h"
#include "userspace/release_region/sysfs_releaser.h"

namespace hadump {
namespace {

constexpr const char* kKernelDir = "/sys/kernel";
constexpr const char* kStateDir = "/var/lib/hadump";
using Args = std::vector<std::string>;

int usage_error(const char* command, const Error& error) {
  std::cerr << "release-region " << command << ": " << error.what() << "\nTry release-region "
            << command << " --help\n";
  return kExitUsage;
}

int print(const std::string& text) {
  std::cout << text;
  return kExitOk;
}

int no_dump(const char* command, const Error& error) {
  std::cerr << "release-region " << command << ": " << error.what() << '\n';
  return error.code() == ErrorCode::kNotFound ? kExitNothing : kExitFailed;
}

int show(const Args& args, Streams io) {
  const auto options = parse_show(args);
  if (!options) return usage_error("show", options.error());
  if (options->help) return print(help_show());
  const auto dump = read_waiting_dump(kKernelDir);
  if (!dump) return no_dump("show", dump.error());
  SysfsReleaser releaser(kKernelDir);
  return run_show(*options, *dump, releaser, io);
}

int status(const Args& args, Streams io) {
  const auto options = parse_status(args);
  if (!options) return usage_error("status", options.error());
  if (options->help) return print(help_status());
  return run_status(*options, kKernelDir, io);
}

int release(const Args& args, Streams io) {
  const auto options = parse_release(args);
  if (!options) return usage_error("release", options.error());
  if (options->help) return print(help_release());
  const auto dump = read_waiting_dump(kKernelDir);
  if (!dump) return no_dump("release", dump.error());
  SysfsReleaser releaser(kKernelDir);
  return run_release(*options, releaser, io);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

// Messages go to stderr, and to the file when one is named. Throws what spdlog throws.
std::shared_ptr<spdlog::logger> make_log(const std::string& who, const std::string& file,
                                         ProgressMode progress) {
  auto log = std::make_shared<spdlog::logger>("release-region");
  log->sinks().push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // With JSON, whoever reads stderr finds one object in every line.
  if (progress == ProgressMode::kJson)
    log->sinks().back()->set_formatter(json_log_formatter());
  else
    log->sinks().back()->set_pattern(who + ": %v");
  if (!file.empty()) {
    log->sinks().push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
    log->sinks().back()->set_pattern("%Y-%m-%dT%H:%M:%S %l: %v");
  }
  log->flush_on(spdlog::level::info);
  return log;
}

int run_with_world(const std::string& who, const SaveOptions& options, Streams io) {
  const SignalStop stop;  // Before any thread.
  const auto log = make_log(who, options.log_to, options.progress);
  // A save of a file has nothing to do with the dump that waits.
  Result<WaitingDump> dump = fail(ErrorCode::kNotFound, "not asked for");
  if (!options.vmcore_given) dump = read_waiting_dump(kKernelDir);
  if (!dump && dump.error().code() != ErrorCode::kNotFound) {
    log->error("{}", dump.error().what());
    return kExitFailed;
  }
  SysfsReleaser releaser(kKernelDir);
  const SteadyClock clock;
  const SaveSeams seams{dump ? &releaser : nullptr,
                        dump ? std::optional(*dump) : std::nullopt,
                        host_name(),
                        clock,
                        *log,
                        [&stop] { return stop.requested(); },
                        [](const std::vector<std::string>& paths) { return open_vmcore(paths); },
                        [](const std::string& path, const std::string& partial) {
                          return partial.empty() ? open_file_sink(path)
                                                 : reopen_file_sink(partial, path);
                        },
                        HADUMP_BLOCK_SIZE,
                        kStateDir};
  return run_save(options, seams, io);
}

int save(const Args& args, Streams io) {
  const auto options = parse_save(args);
  if (!options) return usage_error("save", options.error());
  if (options->help) return print(help_save());
  return run_with_world("release-region", *options, io);
}

int convert(const Args& args, Streams io) {
  const auto options = parse_convert(args);
  if (!options) return usage_error("convert", options.error());
  if (options->help) return print(help_convert());
  return run_with_world("release-region convert", *options, io);
}

// The dump that a command is to look at; says why not.
std::unique_ptr<VmcoreSource> open_for(const char* command, const std::vector<std::string>& files) {
  auto source = open_vmcore(files);
  if (source) return std::move(*source);
  std::cerr << "release-region " << command << ": " << source.error().what() << '\n';
  return nullptr;
}

int info(const Args& args, Streams io) {
  const auto options = parse_info(args);
  if (!options) return usage_error("info", options.error());
  if (options->help) return print(help_info());
  const auto source = open_for("info", options->files);
  return source ? run_info(*options, *source, io) : kExitFailed;
}

int verify(const Args& args, Streams io) {
  const auto options = parse_verify(args);
  if (!options) return usage_error("verify", options.error());
  if (options->help) return print(help_verify());
  const SignalStop stop;
  const auto source = open_for("verify", options->files);
  if (!source) return kExitFailed;
  const auto files = open_dump_files(options->files);
  if (!files) {
    std::cerr << "release-region verify: " << files.error().what() << '\n';
    return kExitFailed;
  }
  return run_verify(
      *source, *files, [&stop] { return stop.requested(); }, io);
}

int estimate(const Args& args, Streams io) {
  const auto options = parse_estimate(args);
  if (!options) return usage_error("estimate", options.error());
  if (options->help) return print(help_estimate());
  const bool waits = read_waiting_dump(kKernelDir).has_value();
  const std::string file = !options->vmcore.empty() ? options->vmcore
                           : waits                  ? "/proc/vmcore"
                                                    : "/proc/kcore";
  const auto source = open_for("estimate", {file});
  if (!source && file == "/proc/kcore")
    std::cerr << "What to do next: run it as root; if the kernel is locked down or has no "
                 "/proc/kcore, name a dump: estimate --vmcore FILE\n";
  return source ? run_estimate(*options, *source, SteadyClock(), io) : kExitFailed;
}

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Args& args, Streams io);
};

constexpr Command kCommands[] = {
    {"show", "list the old memory's ranges and their states", show},
    {"status", "show whether a dump waits, and its progress", status},
    {"save", "save the dump, and give its memory back as it becomes durable", save},
    {"release", "give one range back, whether or not it is saved", release},
    {"estimate", "predict how large a dump would be, and whether it fits", estimate},
    {"convert", "write a dump in another format, or with fewer pages", convert},
    {"info", "show what a dump contains", info},
    {"verify", "read every page of a dump and check its tables", verify},
};

int print_usage(std::ostream& out, int exit_code) {
  out << "Usage: release-region COMMAND [options]; see COMMAND --help\n\n";
  for (const Command& command : kCommands)
    out << "  " << command.name << std::string(10 - std::string(command.name).size(), ' ')
        << command.summary << '\n';
  out << '\n' << exit_codes_text();
  return exit_code;
}

int run(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") return print_usage(std::cout, kExitOk);
  if (name == "--version") return print("release-region " HADUMP_VERSION "\n");
  const Streams io{std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1};
  for (const Command& command : kCommands)
    if (name == command.name) return command.run(Args(argv + 2, argv + argc), io);
  return print_usage(std::cerr, kExitUsage);
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  // A reader that goes away, or a limit on the size of files, is an error of a write: with a
  // message, an exit code, and a partial dump in order.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  try {
    const int code = hadump::run(argc, argv);
    if (std::cout.flush()) return code;
    std::cerr << "release-region: writing to standard output failed\n";
    return code == hadump::kExitOk ? hadump::kExitFailed : code;
  } catch (const std::exception& error) {  // No memory, or spdlog without its file.
    std::cerr << "release-region: " << error.what() << '\n';
    return hadump::kExitFailed;
  }
}
