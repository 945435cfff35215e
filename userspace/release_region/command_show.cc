// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_show.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "core/base/time_text.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/json.h"
#include "userspace/release_region/sysfs_releaser.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

constexpr RegionState kAllStates[] = {RegionState::kWindow,  RegionState::kHeld,
                                      RegionState::kPartial, RegionState::kReleased,
                                      RegionState::kHole,    RegionState::kSaveArea};

po::options_description show_options() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("json", "print JSON");
  // clang-format on
  return options;
}

void print_table(const WaitingDump& dump, const RegionTable& table, std::ostream& out) {
  out << fmt::format("Dump {}, crashed {}\n\n", dump.dump_id, time_text(dump.crash_time));
  out << fmt::format("{:<18} {:<18} {:>10}  {}\n", "START", "END (excluded)", "SIZE", "STATE");
  for (const Region& region : table.regions())
    out << fmt::format("{:#018x} {:#018x} {:>10}  {}\n", address_of(region.range.begin).value,
                       address_of(region.range.end).value, format_size(region.range.bytes()),
                       to_string(region.state));
  out << '\n';
  for (RegionState state : kAllStates)
    if (const std::uint64_t bytes = table.bytes_in_state(state); bytes != 0)
      out << fmt::format("{:<10} {:>10}\n", to_string(state), format_size(bytes));
}

void print_json(const WaitingDump& dump, const RegionTable& table, std::ostream& out) {
  Json json;
  json["dump_id"] = dump.dump_id;
  json["crash_time"] = dump.crash_time;
  json["regions"] = Json::array();
  for (const Region& region : table.regions())
    json["regions"].push_back({{"start", address_of(region.range.begin).value},
                               {"end", address_of(region.range.end).value},
                               {"state", to_string(region.state)}});
  for (RegionState state : kAllStates)
    json["bytes"][std::string(to_string(state))] = table.bytes_in_state(state);
  out << json_text(json) << '\n';
}

int call_show(const ShowOptions& options, const CommandCall& call) {
  const auto dump = read_waiting_dump(kKernelDir);
  if (!dump) return no_dump(call, "show", dump.error());
  SysfsReleaser releaser(kKernelDir);
  return run_show(options, *dump, releaser, call.io);
}

}  // namespace

std::string help_show(const std::string& program) {
  return help_text(program, "show [--json]\nLists every range of the old memory and its state.",
                   show_options(),
                   {{kExitOk, "success"},
                    {kExitFailed, "failed"},
                    {kExitUsage, "wrong usage"},
                    {kExitNothing, "no dump waits"}});
}

Result<ShowOptions> parse_show(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, show_options());
  if (!values) return fail(std::move(values));
  return ShowOptions{values->count("help") > 0, values->count("json") > 0};
}

int run_show(const ShowOptions& options, const WaitingDump& dump, RegionReleaser& releaser,
             Streams io) {
  const auto table = releaser.regions();
  if (!table) {
    io.err << "release-region show: " << table.error().what() << '\n';
    return exit_code_of(table.error());
  }
  if (options.json)
    print_json(dump, *table, io.out);
  else
    print_table(dump, *table, io.out);
  return kExitOk;
}

int show_command(const CommandCall& call) {
  return parse_and_run(call, "show", parse_show, help_show, call_show);
}

}  // namespace hadump
