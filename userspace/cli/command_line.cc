// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

namespace hadump {

namespace po = boost::program_options;

namespace {

/// What makedumpfile's options are called here.
constexpr std::pair<std::string_view, std::string_view> kMakedumpfileOptions[] = {
    {"-c", "--compress zlib"},
    {"-l", "--compress lzo"},
    {"-p", "--compress snappy"},
    {"-z", "--compress zstd"},
    {"-d", "--dump-level"},
    {"-E", "--format elf"},
    {"-F", "OUT - (standard output)"},
    {"-x", "--vmcoreinfo with the file that makedumpfile -g writes"},
    {"-i", "--vmcoreinfo"},
    {"-D", "the command info"},
    {"-f", "--force"},
    {"--num-threads", "--threads"},
    {"--split", "one --to for each file of save"},
    {"--message-level", "--progress"},
    {"--dump-dmesg", "the command dmesg"},
    {"--show-stats", "the command info"},
    {"--mem-usage", "the command estimate"},
};

std::string hint_for(const std::string& option) {
  for (const auto& [theirs, ours] : kMakedumpfileOptions)
    if (option == theirs) return fmt::format("; makedumpfile's {} is here {}", theirs, ours);
  return {};
}

}  // namespace

Result<po::variables_map> parse_command_line(const std::vector<std::string>& args,
                                             const po::options_description& options,
                                             const po::positional_options_description& positional) {
  try {
    po::variables_map values;
    // No guessing: "--no" for "--no-release" would be a bad surprise in a tool that cannot undo.
    const int style = po::command_line_style::unix_style ^ po::command_line_style::allow_guessing;
    po::store(
        po::command_line_parser(args).options(options).positional(positional).style(style).run(),
        values);
    po::notify(values);
    return values;
  } catch (const po::unknown_option& error) {
    return fail(ErrorCode::kBadData, error.what() + hint_for(error.get_option_name()));
  } catch (const po::too_many_positional_options_error&) {
    return fail(ErrorCode::kBadData, "too many arguments");
  } catch (const po::error& error) {
    return fail(ErrorCode::kBadData, error.what());
  }
}

// Boost takes -1 for the largest number.
Result<unsigned> threads_option(const po::variables_map& values) {
  constexpr unsigned kMaxThreads = 1024;
  const unsigned threads = values["threads"].as<unsigned>();
  if (threads > kMaxThreads)
    return fail(ErrorCode::kBadData, fmt::format("--threads must be at most {}", kMaxThreads));
  return threads;
}

namespace {

/// run_program() gives it, whatever the command.
constexpr ExitMeaning kShort{kExitShort,
                             "as 1, for want of memory, threads, file descriptors or locks"};

}  // namespace

std::string help_text(const std::string& program, const std::string& usage,
                      const po::options_description& options,
                      std::initializer_list<ExitMeaning> exits) {
  std::vector<ExitMeaning> all = exits;
  all.insert(std::find_if(all.begin(), all.end(),
                          [](const ExitMeaning& exit) { return exit.code > kShort.code; }),
             kShort);
  std::ostringstream text;
  text << "Usage: " << program << ' ' << usage << "\n\n"
       << options << '\n'
       << exit_status_text(all);
  return text.str();
}

}  // namespace hadump
