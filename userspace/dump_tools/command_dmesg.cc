// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_dmesg.h"

#include <fmt/format.h>

#include "core/vmcore/kernel_log.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/json.h"
#include "userspace/dump_tools/open_for.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description dmesg_options(bool with_positional) {
  po::options_description options("Options");
  options.add_options()("help,h", "show this text")("json", "print JSON, as dmesg --json does");
  describe_vmcoreinfo(options);
  if (with_positional) options.add_options()("file", po::value<std::vector<std::string>>());
  return options;
}

Result<> print_text(const VmcoreSource& source, std::ostream& out) {
  auto log = kernel_log(source);
  if (!log) return fail(std::move(log));
  out << *log;
  return {};
}

/// Record by record: the whole log as JSON values would take many times its size.
Result<> print_json(const VmcoreSource& source, std::ostream& out) {
  auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info) return fail(std::move(info));
  auto space = AddressSpace::open(source, *info);
  if (!space) return fail(std::move(space));
  auto ring = LogRing::open(*space, *info);
  if (!ring) return fail(std::move(ring));
  out << R"({"dmesg":[)";
  const char* separator = "";
  for (std::uint64_t i = 0; i < ring->records() && out; ++i) {
    const auto record = ring->record(i);
    if (!record) return fail(Result<LogRecord>(record));
    if (record->text.empty()) continue;
    Json json;
    const std::uint64_t whole_us = record->time_ns / 1000;  // as dmesg prints it
    json["time"] = static_cast<double>(whole_us) / 1e6;
    json["msg"] = printable_log_text(record->text, "");
    out << std::exchange(separator, ",") << json_text(json);
  }
  out << "]}\n";
  return {};
}

int call_dmesg(const DmesgOptions& options, const CommandCall& call) {
  std::vector<std::string> files = options.files;
  if (files.empty() && call.needs_file)
    return usage_error(call, "dmesg", Error(ErrorCode::kBadData, "FILE is needed"));
  if (files.empty()) files = {"/proc/vmcore"};
  const auto source = open_for(call, "dmesg", files, options.vmcoreinfo);
  return source ? run_dmesg(options, *source, call) : kExitFailed;
}

}  // namespace

std::string help_dmesg(const std::string& program) {
  return help_text(
      program,
      "dmesg [--json] [--vmcoreinfo FILE] [FILE…]\n"
      "Prints the log of the crashed kernel: of the dump FILE or, in a guest, of the dump that\n"
      "waits. Several files: the parts of one split dump.",
      dmesg_options(false),
      {{kExitOk, "success"}, {kExitFailed, "failed"}, {kExitUsage, "wrong usage"}});
}

Result<DmesgOptions> parse_dmesg(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("file", -1);
  auto values = parse_command_line(args, dmesg_options(true), positional);
  if (!values) return fail(std::move(values));
  DmesgOptions options;
  options.help = values->count("help") > 0;
  options.json = values->count("json") > 0;
  options.vmcoreinfo = vmcoreinfo_option(*values);
  if (values->count("file") > 0) options.files = (*values)["file"].as<std::vector<std::string>>();
  return options;
}

int run_dmesg(const DmesgOptions& options, const VmcoreSource& source, const CommandCall& call) {
  const auto printed =
      options.json ? print_json(source, call.io.out) : print_text(source, call.io.out);
  if (printed) return kExitOk;
  complain(call, "dmesg", printed.error().what());
  return kExitFailed;
}

int dmesg_command(const CommandCall& call) {
  return parse_and_run(call, "dmesg", parse_dmesg, help_dmesg, call_dmesg);
}

}  // namespace hadump
