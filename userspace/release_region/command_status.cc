// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_status.h"

#include <fmt/format.h>

#include <optional>
#include <sstream>

#include "core/base/file.h"
#include "core/base/printable.h"
#include "core/base/text.h"
#include "core/base/time_text.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/json.h"
#include "userspace/release_region/sysfs_releaser.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

constexpr const char* kRunDir = "/run/hadump";
constexpr std::uint64_t kMaxTold = 64_KiB;

struct Status {
  bool enabled = false;
  std::string refusal;  ///< why not, in the module's words
  bool registered = false;
  /// A kdump kernel is loaded: a panic starts that one, and the agent never sees a crash.
  bool kdump_loaded = false;
  std::optional<WaitingDump> dump;
  std::uint64_t held = 0;
  std::uint64_t released = 0;
  std::uint64_t save_area = 0;
  std::string progress;
  /// What the system does not have again although all memory is back.
  std::vector<std::string> not_restored;
  /// Why a rescue boot has not saved the dump that waits.
  std::vector<std::string> rescue;
};

po::options_description status_options() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("json", "print JSON");
  // clang-format on
  return options;
}

// One line of a small sysfs file without its newline; empty when it cannot be read.
std::string read_line(const std::string& path) {
  auto text = read_text_file(path, 4096);
  if (!text) return {};
  return text->substr(0, text->find('\n'));
}

// A file of the boot scripts: at most a few lines. What is not there has not failed.
std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream text(read_text_file(path, kMaxTold).value_or(""));
  for (std::string line; std::getline(text, line);) lines.push_back(printable(line));
  return lines;
}

Result<Status> read_status(const std::string& kernel_dir, const std::string& run_dir) {
  const std::string directory = kernel_dir + "/hadump/";
  if (auto enabled = read_text_file(directory + "enabled", 64); !enabled)
    return fail(std::move(enabled), "is hadump.ko loaded?");
  Status status;
  status.enabled = read_line(directory + "enabled") == "1";
  status.refusal = read_line(directory + "refusal");
  status.registered = read_line(directory + "registered") == "1";
  status.kdump_loaded = read_line(kernel_dir + "/kexec_crash_loaded") == "1";
  status.progress = read_line(directory + "progress");
  status.not_restored = lines_of(run_dir + "/not-restored");
  auto dump = read_waiting_dump(kernel_dir);
  if (!dump && dump.error().code() == ErrorCode::kNotFound) return status;
  if (!dump) return fail(std::move(dump));
  status.dump = *dump;
  status.rescue = lines_of(run_dir + "/rescue");
  auto table = SysfsReleaser(kernel_dir).regions();
  if (!table) return fail(std::move(table));
  status.held =
      table->bytes_in_state(RegionState::kHeld) + table->bytes_in_state(RegionState::kPartial);
  status.released = table->bytes_in_state(RegionState::kReleased);
  status.save_area = table->bytes_in_state(RegionState::kSaveArea);
  return status;
}

void print_text(const Status& status, std::ostream& out) {
  const std::string why = status.refusal.empty() ? "" : ": " + status.refusal;
  out << fmt::format("hadump works here: {}{}\nregistered for the next crash: {}\n",
                     status.enabled ? "yes" : "no", why, status.registered ? "yes" : "no");
  if (status.kdump_loaded)
    out << "warning: a kdump kernel is loaded, and takes over a panic before the host sees it. To "
           "use hadump instead: kdump-config unload, and disable kdump-tools\n";
  for (const std::string& what : status.not_restored)
    out << "not as before the crash: " << what << '\n';
  if (!status.dump) {
    out << "no dump waits\n";
    return;
  }
  out << fmt::format("a dump waits: {}, crashed {}, boot {} since\n", status.dump->dump_id,
                     time_text(status.dump->crash_time), status.dump->boots);
  out << fmt::format("held {}, released {}, save area {}\n", format_size(status.held),
                     format_size(status.released), format_size(status.save_area));
  for (const std::string& what : status.rescue) out << "rescue boot: " << what << '\n';
  if (!status.progress.empty()) out << "last report: " << status.progress << '\n';
}

void print_json(const Status& status, std::ostream& out) {
  const WaitingDump dump = status.dump.value_or(WaitingDump{});
  Json json;
  json["enabled"] = status.enabled;
  json["refusal"] = status.refusal;
  json["registered"] = status.registered;
  json["kdump_loaded"] = status.kdump_loaded;
  json["dump_waits"] = status.dump.has_value();
  json["dump_id"] = dump.dump_id;
  json["crash_time"] = dump.crash_time;
  json["boots"] = dump.boots;
  json["mode"] = dump.mode;
  json["bytes_held"] = status.held;
  json["bytes_released"] = status.released;
  json["bytes_save_area"] = status.save_area;
  json["progress"] = status.progress;
  json["not_restored"] = status.not_restored;
  json["rescue"] = status.rescue;
  out << json_text(json) << '\n';
}

int call_status(const StatusOptions& options, const CommandCall& call) {
  return run_status(options, kKernelDir, kRunDir, call.io);
}

}  // namespace

std::string help_status(const std::string& program) {
  return help_text(program,
                   "status [--json]\n"
                   "Shows whether hadump works here, whether a dump waits, and its progress.",
                   status_options(),
                   {{kExitOk, "a dump waits"},
                    {kExitFailed, "failed"},
                    {kExitUsage, "wrong usage"},
                    {kExitNothing, "no dump waits"}});
}

Result<StatusOptions> parse_status(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, status_options());
  if (!values) return fail(std::move(values));
  return StatusOptions{values->count("help") > 0, values->count("json") > 0};
}

int run_status(const StatusOptions& options, const std::string& kernel_dir,
               const std::string& run_dir, Streams io) {
  const auto status = read_status(kernel_dir, run_dir);
  if (!status) {
    io.err << "release-region status: " << status.error().what() << '\n';
    return kExitFailed;
  }
  if (options.json)
    print_json(*status, io.out);
  else
    print_text(*status, io.out);
  return status->dump ? kExitOk : kExitNothing;
}

int status_command(const CommandCall& call) {
  return parse_and_run(call, "status", parse_status, help_status, call_status);
}

}  // namespace hadump
