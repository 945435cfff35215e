// SPDX-License-Identifier: GPL-2.0-or-later
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "hv/hadumpd/daemon.h"
#include "hv/hadumpd/log.h"
#include "hv/hadumpd/options.h"

namespace {

using namespace hadump;

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

void set_up_log(bool debug) {
  auto logger = spdlog::stderr_logger_mt("hadumpd");
  logger->set_formatter(log_formatter(is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))));
  logger->set_level(debug ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

// The daemon itself writes nothing there.
int print(const std::string& text) {
  if (std::cout << text << std::flush) return kExitOk;
  std::cerr << "hadumpd: writing to standard output failed\n";
  return kExitFailed;
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse_daemon_options({argv + 1, argv + argc});
  if (!options) {
    std::cerr << "hadumpd: " << options.error().what() << "; try hadumpd --help\n";
    return kExitUsage;
  }
  if (options->help) return print(daemon_help());
  if (options->version) return print("hadumpd " HADUMP_VERSION "\n");
  set_up_log(options->debug);
  auto policies = read_policies(options->config, options->config_given, options->check_config);
  if (!policies) {
    spdlog::error("{}", policies.error().what());
    return kExitUsage;
  }
  if (options->check_config) return kExitOk;
  if (auto done = run_daemon(*options, *policies); !done) {
    spdlog::error("{}", done.error().what());
    return kExitFailed;
  }
  return kExitOk;
}
