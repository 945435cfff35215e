// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/command_capture.h"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/json_text.h"
#include "core/codec/codec.h"
#include "core/dump/output_format.h"
#include "hv/capture/capture_mode.h"
#include "hv/capture/capture_modes.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/options.h"
#include "hv/hadump/report.h"

namespace hadump {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr milliseconds kAskAgainAfter{500};
constexpr milliseconds kPlainLineEvery{5000};

struct CaptureOptions {
  CaptureOrder order;
  bool follow = false;
};

po::options_description describe_capture(CaptureOptions& options) {
  CaptureOrder& order = options.order;
  const std::string modes = capture_mode_help();
  const std::string formats = file_format_help();
  const std::string codecs = codec_help();
  po::options_description description;
  // clang-format off
  description.add_options()
      ("mode", po::value(&order.mode)->default_value(order.mode)->value_name("MODE"), modes.c_str())
      ("to", po::value(&order.to)->value_name("PATH"),
       "file on this host for the dump; a directory gets a directory for this capture")
      ("restart", po::bool_switch(&order.restart),
       "create the domain anew when its memory is safe and the old one is gone")
      ("dump-level", po::value(&order.dump_level)->default_value(order.dump_level)->value_name("N[,N...]"),
       "pages to leave out, as for makedumpfile -d: 1 zero, 2 and 4 cache, 8 user, 16 free. "
       "With a list, as in 1,31, the next level is used when the target runs out of room")
      ("pages", po::value(&order.pages)->value_name("FILE"),
       "capture only the pages that FILE lists: lines of a kernel address and a number of pages")
      ("max-stop", po::value(&order.max_stop_ms)->default_value(order.max_stop_ms)->value_name("MS"),
       "mode live: for how many milliseconds the guest may be stopped")
      ("if-busy", po::value(&order.if_busy)->default_value(order.if_busy)->value_name("WORD"),
       "mode live: what to do with a guest that writes so fast that it would be stopped for longer: "
       "stop-longer, throttle (it gets less processor time until then), or give-up")
      ("format", po::value(&order.format)->default_value(order.format)->value_name("FORMAT"), formats.c_str())
      ("compress", po::value(&order.compress)->default_value(order.compress)->value_name("CODEC"), codecs.c_str())
      ("follow", po::bool_switch(&options.follow), "show how far it is, until it has ended");
  // clang-format on
  return description;
}

Json request_of(unsigned domid, const CaptureOrder& order) {
  Json request = {{"command", "capture"},
                  {"domid", domid},
                  {"mode", order.mode},
                  {"to", order.to},
                  {"format", order.format},
                  {"compress", order.compress},
                  {"dump_level", order.dump_level},
                  {"pages", order.pages},
                  {"restart", order.restart}};
  if (order.mode != kLiveMode) return request;
  request["max_stop_ms"] = order.max_stop_ms;
  request["if_busy"] = order.if_busy;
  return request;
}

// The capture as it is now.
Result<Json> ask_for(const std::string& name, const std::string& socket, CommandWorld& world) {
  auto answer = world.ask(socket, {{"command", "captures"}});
  if (!answer) return answer;
  for (const Json& capture : (*answer)["captures"])
    if (text_at(capture, "name") == name) return capture;
  return fail(ErrorCode::kNotFound, "hadumpd no longer knows capture " + name);
}

// On a terminal one line that is rewritten, else a line every few seconds.
Result<Json> follow(const std::string& name, const std::string& socket, CommandWorld& world) {
  const bool bar = world.errors_are_terminal;
  for (milliseconds waited{0};; waited += kAskAgainAfter) {
    auto capture = ask_for(name, socket, world);
    if (!capture) return capture;
    const auto state = text_at(*capture, "state");
    const bool over = state == "written" || state == "failed";
    if (bar)
      world.errors << "\r\x1b[K" << capture_progress(*capture) << (over ? "\n" : "") << std::flush;
    else if (over || waited % kPlainLineEvery == milliseconds(0))
      world.errors << capture_progress(*capture) << std::endl;
    if (state == "failed") return fail(ErrorCode::kOs, text_at(*capture, "error"));
    if (over) return capture;
    world.sleep(kAskAgainAfter);
  }
}

// A capture that has put its domain aside and kept it names that domain, not the one that has
// replaced it.
Result<unsigned> kept_domain(const DomainOptions& options, CommandWorld& world) {
  auto answer = world.ask(options.socket, {{"command", "captures"}});
  if (!answer) return fail(std::move(answer));
  if (answer->contains("captures"))
    for (const Json& capture : (*answer)["captures"])
      if (text_at(capture, "name") == options.domain && flag_at(capture, "parks") &&
          flag_at(capture, "domain_kept"))
        return static_cast<unsigned>(number_at(capture, "domid"));
  return fail(ErrorCode::kNotFound, "no such capture");
}

Result<unsigned> domain_to_capture(const DomainOptions& options, CommandWorld& world,
                                   AdminExit& code) {
  code = kAdminFailed;
  if (auto kept = kept_domain(options, world)) return kept;
  auto domains = ask_for_domains(options, world, code);
  if (!domains) return fail(std::move(domains));
  code = kAdminFailed;
  return domain_to_trigger(*domains, options.domain);
}

int capture(const DomainOptions& options, const CaptureOptions& wanted, CommandWorld& world) {
  AdminExit code = kAdminOk;
  auto domid = domain_to_capture(options, world, code);
  if (!domid) return complain(world, domid.error().what(), code);
  auto started = world.ask(options.socket, request_of(*domid, wanted.order));
  if (!started) return complain(world, started.error().what(), kAdminFailed);
  const auto name = text_at(*started, "name");
  if (!options.json && !wanted.follow) world.out << "capture " << name << " has begun\n";
  auto now = wanted.follow  ? follow(name, options.socket, world)
             : options.json ? ask_for(name, options.socket, world)
                            : Result<Json>(Json());
  if (!now)
    return complain(world, fmt::format("capture {}: {}", name, now.error().what()), kAdminFailed);
  if (options.json)
    world.out << json_text(*now, 2) << '\n';
  else if (wanted.follow)
    world.out << capture_text(*now);
  return kAdminOk;
}

}  // namespace

std::string capture_help() {
  CaptureOptions options;
  std::ostringstream text;
  text << domain_help() << describe_capture(options);
  return text.str();
}

Result<Run> parse_capture(const std::vector<std::string>& arguments) {
  CaptureOptions wanted;
  const po::options_description more = describe_capture(wanted);
  auto options = parse_domain_options(arguments, &more);
  if (!options) return fail(std::move(options));
  if (options->domain.empty()) return fail(ErrorCode::kBadData, "capture needs a domain");
  if (wanted.order.to == "-")
    return fail(ErrorCode::kBadData, "--to -: a capture is a file on the host");
  // hadumpd has another working directory. A '/' at the end says that it is a directory.
  for (std::string* path : {&wanted.order.to, &wanted.order.pages}) {
    if (path->empty()) continue;
    std::error_code error;
    const auto absolute = std::filesystem::absolute(*path, error);
    if (error) return fail_os(error.value(), "finding " + *path);
    *path = absolute.lexically_normal().string();
  }
  if (auto checked = check_order(wanted.order); !checked) return fail(std::move(checked));
  return [options = std::move(*options), wanted](CommandWorld& world) {
    return capture(options, wanted, world);
  };
}

}  // namespace hadump
