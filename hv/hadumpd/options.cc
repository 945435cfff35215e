// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/options.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <boost/program_options.hpp>

#include <filesystem>
#include <functional>
#include <sstream>
#include <string_view>
#include <system_error>

#include "core/base/file.h"
#include "core/base/trusted_path.h"
#include "hv/capture/capture_modes.h"
#include "hv/hadumpd/capture_order.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description describe(DaemonOptions& options) {
  po::options_description description("Options");
  // clang-format off
  description.add_options()
      ("help,h", po::bool_switch(&options.help), "show this text")
      ("version", po::bool_switch(&options.version), "show the version")
      ("config,c", po::value(&options.config)->default_value(options.config)->value_name("FILE"),
       "configuration file; the default one may be absent")
      ("check-config", po::bool_switch(&options.check_config),
       "read the configuration, report errors in it and files it names that are missing, and exit")
      ("debug,d", po::bool_switch(&options.debug), "log every step and the messages of Xen's libraries")
      ("once", po::value(&options.once)->value_name("DOMID"),
       "handle the crash of one domain, then exit: 0 if it runs again")
      ("state-dir", po::value(&options.state_directory)->default_value(options.state_directory)->value_name("DIR"),
       "directory for state that must survive a restart")
      ("run-dir", po::value(&options.run_directory)->default_value(options.run_directory)->value_name("DIR"),
       "directory for the socket for hadump(8) and for files that a reboot of the host may remove");
  // clang-format on
  return description;
}

constexpr std::string_view kSpace = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// A '#' begins a comment where a word could begin: inside one it is part of a value.
std::string_view without_comment(std::string_view line) {
  for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1))
    if (at == 0 || kSpace.find(line[at - 1]) != std::string_view::npos) return line.substr(0, at);
  return line;
}

/// @param take  is given section, key and value; what it refuses ends this, with the line's number.
Result<> for_each_setting(
    const std::string& text, const std::string& name,
    const std::function<Result<>(const std::string& section, const std::string& key,
                                 const std::string& value)>& take) {
  std::string section;
  std::istringstream lines(text);
  std::string whole;
  for (unsigned number = 1; std::getline(lines, whole); ++number) {
    const std::string_view line = trimmed(without_comment(whole));
    if (line.empty()) continue;
    if (line.front() == '[' && line.back() == ']') {
      section = line.substr(1, line.size() - 2);
      continue;
    }
    const std::size_t equals = line.find('=');
    Result<> done;
    if (line.front() == '[' || equals == std::string_view::npos || equals == 0)
      done = fail(ErrorCode::kBadData,
                  fmt::format("'{}' is neither a [section] nor KEY = VALUE", line));
    else
      done = take(section, std::string(trimmed(line.substr(0, equals))),
                  std::string(trimmed(line.substr(equals + 1))));
    if (!done) return fail(std::move(done), fmt::format("{}: line {}", name, number));
  }
  return {};
}

Result<> check_file(const std::string& path) {
  auto opened = open_file(path, O_RDONLY | O_NONBLOCK);  // A pipe, too.
  if (!opened) return fail(std::move(opened));
  struct stat info {};
  if (::fstat(opened->get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(ErrorCode::kBadData, path + " is not a file");
  return {};
}

// Each key may be right, and two of them not go together: the time to say so is not a crash.
Result<> check_captures(const PolicyTable& table) {
  for (const std::string& pattern : table.patterns())
    if (auto checked = check_order(capture_order(table.for_domain(pattern).capture)); !checked)
      return fail(std::move(checked), fmt::format("the keys capture-* that are in force for "
                                                  "[domain {}] do not go together",
                                                  pattern));
  return {};
}

}  // namespace

std::string daemon_help() {
  DaemonOptions options;
  std::ostringstream text;
  text << "Usage: hadumpd [OPTION]...\n"
          "Watches this Xen host's domains. When one crashes, keeps its memory for analysis and\n"
          "boots it again at once in a small part of that memory.\n\n"
       << describe(options)
       << "\nExit status: 0 success or ended by signal, 1 failed, 2 wrong usage or configuration.\n"
          "SIGHUP makes hadumpd read its configuration again; SIGTERM and SIGINT end it and leave\n"
          "the domains as they are.\n";
  return text.str();
}

Result<DaemonOptions> parse_daemon_options(const std::vector<std::string>& arguments) try {
  DaemonOptions options;
  po::variables_map values;
  po::store(po::command_line_parser(arguments)
                .options(describe(options))
                .positional(po::positional_options_description())
                .run(),
            values);
  po::notify(values);
  options.config_given = !values["config"].defaulted();
  return options;
} catch (const po::too_many_positional_options_error&) {
  return fail(ErrorCode::kBadData, "too many arguments; there are options only");
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, e.what());
}

Result<PolicyTable> parse_policies(const std::string& text, const std::string& name) {
  PolicyTable table;
  auto done =
      for_each_setting(text, name,
                       [&](const std::string& section, const std::string& key,
                           const std::string& value) { return table.add(section, key, value); });
  if (!done) return fail(std::move(done));
  if (auto checked = check_captures(table); !checked) return fail(std::move(checked), name);
  return table;
}

Result<> check_named_files(const std::string& text, const std::string& name) {
  return for_each_setting(
      text, name,
      [](const std::string& section, const std::string& key, const std::string& path) -> Result<> {
        if ((key != "kernel" && key != "ramdisk") || path.empty()) return {};
        auto there = check_file(path);
        return there ? there : fail(std::move(there), fmt::format("[{}] {}", section, key));
      });
}

Result<PolicyTable> read_policies(const std::string& path, bool required, bool check_files) {
  constexpr std::uint64_t kMaxConfigBytes = 1_MiB;
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (!required && error == std::errc::no_such_file_or_directory) return PolicyTable{};
  if (error) return fail_os(error.value(), "opening " + path);
  // It names files that hadumpd reads and directories that it writes to.
  if (auto way = walk_trusted(std::filesystem::absolute(path)); !way) return fail(std::move(way));
  auto text = read_trusted_text_file(real, kMaxConfigBytes);
  if (!text) return fail(std::move(text));
  if (check_files)
    if (auto checked = check_named_files(*text, path); !checked) return fail(std::move(checked));
  return parse_policies(*text, path);
}

}  // namespace hadump
