#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>

#include "core/base/text.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/hadumpd/options.h"

namespace {

using namespace hadump;

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void set_up_log(bool debug) {
  auto logger = spdlog::stderr_logger_mt("hadumpd");
  // The journal adds time and name itself; levels as sd-daemon(3) prefixes come with the sink.
  logger->set_pattern(environment("JOURNAL_STREAM").empty() ? "%Y-%m-%d %H:%M:%S.%e %l: %v"
                                                            : "%l: %v");
  logger->set_level(debug ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int fail_with(const Error& error) {
  spdlog::error("{}", error.what());
  return kExitFailed;
}

int run(const DaemonOptions& options, PolicyTable policies) {
  XenLog log([](const std::string& line) { spdlog::debug("{}", line); });
  auto handles = XenHandles::open(log);
  if (!handles) return fail_with(handles.error());
  auto libxl = open_libxl(log);
  if (!libxl) return fail_with(libxl.error());
  StateDirectory states(options.state_directory, environment("HADUMP_KILL_AT"));
  Caretaker caretaker(*handles, libxl->get(), states,
                      {options.state_directory, options.run_directory});
  caretaker.set_policies(std::move(policies));
  if (auto done = caretaker.load(); !done) return fail_with(done.error());
  auto domid = parse_decimal(options.once);
  if (!domid) return fail_with(domid.error());
  if (auto done = caretaker.rescue(static_cast<unsigned>(*domid)); !done)
    return fail_with(std::move(done).error().during("domain " + options.once));
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse_daemon_options({argv + 1, argv + argc});
  if (!options) {
    std::cerr << "hadumpd: " << options.error().what() << "; try hadumpd --help\n";
    return kExitUsage;
  }
  if (options->help) {
    std::cout << daemon_help();
    return kExitOk;
  }
  set_up_log(options->debug);
  auto policies = read_policies(options->config, options->config_given);
  if (!policies) {
    spdlog::error("{}", policies.error().what());
    return kExitUsage;
  }
  if (options->check_config) return kExitOk;
  return run(*options, std::move(*policies));
}
