#include "hv/hadumpd/options.h"

#include <fmt/format.h>
#include <boost/program_options.hpp>

#include <sstream>

#include "core/base/file.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description describe(DaemonOptions& options) {
  po::options_description description("Options");
  // clang-format off
  description.add_options()
      ("help,h", po::bool_switch(&options.help), "print this and exit")
      ("version", po::bool_switch(&options.version), "print the version and exit")
      ("config,c", po::value(&options.config)->default_value(options.config),
       "configuration file; without --config it may be absent")
      ("check-config", po::bool_switch(&options.check_config),
       "read the configuration, say what is wrong with it, and exit")
      ("debug,d", po::bool_switch(&options.debug), "log every step and what Xen's libraries say")
      ("once", po::value(&options.once)->value_name("DOMID"),
       "see to the crash of one domain, then exit: 0 when it runs again")
      ("state-dir", po::value(&options.state_directory)->default_value(options.state_directory),
       "where what must survive a restart of hadumpd is kept")
      ("run-dir", po::value(&options.run_directory)->default_value(options.run_directory),
       "where the socket for hadump(8) is, and what a restart of the host may empty");
  // clang-format on
  return description;
}

}  // namespace

std::string daemon_help() {
  DaemonOptions options;
  std::ostringstream text;
  text << "Usage: hadumpd [OPTION]...\n"
          "Watches this Xen host's domains. When one crashes, keeps its memory for analysis and\n"
          "boots it again at once in a small part of that memory.\n\n"
       << describe(options)
       << "\nExit status: 0 ended by a signal or done, 1 failed, 2 wrong usage or configuration.\n"
          "SIGHUP reads the configuration again; SIGTERM and SIGINT end hadumpd, which leaves\n"
          "domains as they are.\n";
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
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, e.what());
}

Result<PolicyTable> parse_policies(const std::string& text, const std::string& name) try {
  PolicyTable table;
  std::istringstream stream(text);
  const po::options_description none;
  const auto parsed = po::parse_config_file(stream, none, /*allow_unregistered=*/true);
  for (const auto& option : parsed.options) {
    const std::size_t dot = option.string_key.rfind('.');
    const std::string section = dot == std::string::npos ? "" : option.string_key.substr(0, dot);
    const std::string key = option.string_key.substr(dot == std::string::npos ? 0 : dot + 1);
    if (auto done = table.add(section, key, option.value.empty() ? "" : option.value.front());
        !done)
      return fail(std::move(done), name);
  }
  return table;
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, fmt::format("{}: {}", name, e.what()));
}

Result<PolicyTable> read_policies(const std::string& path, bool required) {
  constexpr std::uint64_t kMaxConfigBytes = 1_MiB;
  auto text = read_text_file(path, kMaxConfigBytes);
  if (text) return parse_policies(*text, path);
  if (!required && text.error().code() == ErrorCode::kNotFound) return PolicyTable{};
  return fail(std::move(text));
}

}  // namespace hadump
