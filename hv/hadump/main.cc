// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "hv/hadump/options.h"
#include "hv/hadump/report.h"
#include "hv/hadumpd/status_socket.h"

namespace {

using namespace hadump;
using Json = nlohmann::ordered_json;

enum ExitCode { kExitOk, kExitFailed, kExitUsage, kExitNoDomain, kExitNoDaemon };

int complain(const std::string& text, ExitCode code) {
  std::cerr << "hadump: " << text << '\n';
  return code;
}

std::uint64_t now_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

Result<Json> ask(const AdminOptions& options, const Json& request) {
  auto line = ask_daemon(options.socket, request.dump());
  if (!line) return fail(std::move(line));
  Json answer = Json::parse(*line, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object() || !answer.contains("ok"))
    return fail(ErrorCode::kBadData, "malformed answer from hadumpd");
  if (answer["ok"] != true) return fail(ErrorCode::kBusy, answer.value("error", "refused"));
  return answer;
}

int run(const AdminOptions& options) {
  auto answer = ask(options, {{"command", "list"}});
  if (!answer)
    return complain(answer.error().what(),
                    answer.error().code() == ErrorCode::kNotFound ? kExitNoDaemon : kExitFailed);
  Json chosen = choose(*answer, options.domain);
  if (chosen.empty() && !options.domain.empty())
    return complain("no domain '" + options.domain + "'", kExitNoDomain);
  if (options.command == "trigger") {
    auto domid = domain_to_trigger(chosen, options.domain);
    if (!domid) return complain(domid.error().what(), kExitFailed);
    auto done = ask(options, {{"command", "trigger"}, {"domid", *domid}});
    if (!done) return complain(done.error().what(), kExitFailed);
    chosen = choose(*done, options.domain);  // as it is now
    if (!options.json) std::cout << "triggered the dump of domain '" << options.domain << "'\n";
  }
  if (options.json)
    std::cout << chosen.dump(2) << '\n';
  else if (options.command == "list")
    std::cout << list_text(chosen, now_ms());
  else if (options.command == "status")
    for (const Json& domain : chosen) std::cout << status_text(domain, now_ms());
  return kExitOk;
}

int run(int argc, char** argv) {
  auto options = parse_admin_options({argv + 1, argv + argc});
  if (!options) return complain(options.error().what() + "; try hadump --help", kExitUsage);
  if (options->help) {
    std::cout << admin_help();
    return kExitOk;
  }
  if (options->version) {
    std::cout << "hadump " << HADUMP_VERSION << '\n';
    return kExitOk;
  }
  return run(*options);
}

}  // namespace

int main(int argc, char** argv) {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));  // an error of a write, with a message
  const int code = run(argc, argv);
  if (std::cout.flush()) return code;
  return complain("writing to standard output failed", kExitFailed);
}
