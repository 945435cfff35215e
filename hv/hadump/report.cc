// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/text.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/stream_report.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;

std::string age(std::uint64_t since_ms, std::uint64_t now_ms) {
  const std::uint64_t seconds = now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
  constexpr std::uint64_t kDay = 86400;
  if (seconds >= kDay) return fmt::format("{}d{:02}h", seconds / kDay, seconds % kDay / 3600);
  return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60);
}

// Of a domain of which nothing but a capture is left.
constexpr const char* kGone = "gone";

std::string clock_time(std::uint64_t seconds) {
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60);
}

std::string size_or_dash(const Json& json, const char* key) {
  return json.contains(key) ? format_size(number_at(json, key)) : "-";
}

// What a finished capture has done is known without its progress.
std::string done(const Json& capture) {
  if (text_at(capture, "state") == "written") return "100%";
  const std::uint64_t all = number_at(capture, "memory_bytes");
  if (all == 0 || !capture.contains("done_bytes")) return "-";
  return fmt::format("{}%", number_at(capture, "done_bytes") * 100 / all);
}

std::string written(const Json& capture) {
  if (text_at(capture, "state") == "written") return format_size(number_at(capture, "file_bytes"));
  return size_or_dash(capture, "written_bytes");
}

// Of a dump that nobody has written yet.
std::string kept_text(const Json& capture) {
  return fmt::format(
      "in domain {}-{}; write it with `hadump capture {} --mode alias --to PATH`, or give it up "
      "with `xl destroy {}`",
      text_at(capture, "domain"), number_at(capture, "domid"), text_at(capture, "name"),
      number_at(capture, "domid"));
}

// How far the copy of a running domain's memory is; empty when there is none.
std::string pass_text(const Json& capture) {
  if (!capture.contains("pass")) return "";
  std::string text =
      fmt::format("pass {}, {} left, the guest writes {}/s", number_at(capture, "pass"),
                  format_size(number_at(capture, "left_bytes")),
                  format_size(number_at(capture, "dirty_bytes_per_s")));
  const Json throttled = capture.value("throttled", Json());
  const Json caps = throttled.is_object() ? throttled.value("caps", Json()) : Json();
  if (caps.is_array() && !caps.empty() && caps.back().is_number_unsigned())
    text += fmt::format(" with {} % of a processor", caps.back().get<std::uint64_t>());
  return text;
}

std::string capture_row(const Json& capture) {
  const std::string rate =
      capture.contains("bytes_per_s") ? format_size(number_at(capture, "bytes_per_s")) + "/s" : "-";
  const std::string left =
      capture.contains("remaining_s") ? clock_time(number_at(capture, "remaining_s")) : "-";
  std::string note = pass_text(capture);
  if (text_at(capture, "state") == "kept") note = kept_text(capture);
  if (note.empty()) note = text_at(capture, "error");
  if (note.empty()) note = text_at(capture, "file");
  return fmt::format("{:<32} {:<9} {:<5} {:>9} {:>5} {:>9} {:>11} {:>8}  {}\n",
                     text_at(capture, "name"), text_at(capture, "state"), text_at(capture, "mode"),
                     format_size(number_at(capture, "memory_bytes")), done(capture),
                     written(capture), rate, left, note);
}

// Of the next crash.
std::string next_window_text(const Json& window) {
  const std::string why = text_at(window, "why");
  return fmt::format("  window    {}{}\n", format_size(number_at(window, "bytes")),
                     why.empty() ? "" : ", chosen: " + why);
}

bool dump_waits(const Json& domain) {
  return domain.contains("dump") && text_at(domain["dump"], "step") == "started";
}

// What is still held: the guest's word, or all of it before the guest has said anything.
std::string held(const Json& domain) {
  if (!dump_waits(domain)) return "-";
  const std::uint64_t all = number_at(domain["dump"], "held_bytes");
  return format_size(all - std::min(all, number_at(domain["dump"], "released_bytes")));
}

// How much of the dump the guest says to have saved.
std::string saved(const Json& domain) {
  if (!dump_waits(domain) || !domain.contains("guest") ||
      !domain["guest"].contains("saved_percent"))
    return "-";
  return fmt::format("{}%", number_at(domain["guest"], "saved_percent"));
}

}  // namespace

bool is_domain(const Json& domain, const std::string& wanted) {
  if (text_at(domain, "name") == wanted || text_at(domain, "uuid") == wanted) return true;
  if (domain.contains("domid") && std::to_string(number_at(domain, "domid")) == wanted) return true;
  return domain.contains("captures") &&
         std::any_of(domain["captures"].begin(), domain["captures"].end(),
                     [&](const Json& capture) { return text_at(capture, "name") == wanted; });
}

void attach_captures(Json& answer) {
  if (!answer.contains("captures")) return;
  Json& domains = answer["domains"];
  if (!domains.is_array()) domains = Json::array();
  for (const Json& capture : answer["captures"]) {
    const std::string uuid = text_at(capture, "uuid");
    auto domain = std::find_if(domains.begin(), domains.end(),
                               [&](const Json& one) { return text_at(one, "uuid") == uuid; });
    if (domain == domains.end()) {
      domains.push_back({{"name", text_at(capture, "domain")}, {"uuid", uuid}, {"state", kGone}});
      domain = std::prev(domains.end());
    }
    Json& captures = (*domain)["captures"];
    if (!captures.is_array()) captures = Json::array();
    captures.push_back(capture);
  }
}

Json choose(const Json& answer, const std::string& wanted) {
  Json chosen = Json::array();
  if (!answer.contains("domains")) return chosen;
  for (const Json& domain : answer["domains"])
    if (wanted.empty() || is_domain(domain, wanted)) chosen.push_back(domain);
  return chosen;
}

Result<unsigned> domain_to_trigger(const Json& domains, const std::string& wanted) {
  if (domains.empty()) return fail(ErrorCode::kNotFound, "no domain '" + wanted + "'");
  if (domains.size() == 1) return static_cast<unsigned>(number_at(domains.front(), "domid"));
  std::string all;
  for (const Json& domain : domains)
    all += fmt::format("{}{} (domain {}, {})", all.empty() ? "" : ", ", text_at(domain, "name"),
                       number_at(domain, "domid"), text_at(domain, "uuid"));
  return fail(ErrorCode::kBadData,
              fmt::format("'{}' is ambiguous: {}; give the UUID", wanted, all));
}

std::string list_text(const Json& domains, std::uint64_t now_ms) {
  std::string out = fmt::format("{:<24} {:>5} {:<11} {:>9} {:>9} {:>9} {:>9} {:>5}\n", "NAME", "ID",
                                "STATE", "SINCE", "MEMORY", "WINDOW", "HELD", "SAVED");
  std::string captures;
  for (const Json& domain : domains) {
    if (domain.contains("captures"))
      for (const Json& capture : domain["captures"]) captures += capture_row(capture);
    if (text_at(domain, "state") == kGone) continue;
    out += fmt::format(
        "{:<24} {:>5} {:<11} {:>9} {:>9} {:>9} {:>9} {:>5}{}\n", text_at(domain, "name"),
        number_at(domain, "domid"), text_at(domain, "state"),
        age(number_at(domain, "since_ms"), now_ms), format_size(number_at(domain, "memory_bytes")),
        domain.contains("window") ? size_or_dash(domain["window"], "bytes") : "-", held(domain),
        saved(domain), text_at(domain, "note").empty() ? "" : "  " + text_at(domain, "note"));
  }
  if (!captures.empty())
    out += fmt::format("\n{:<32} {:<9} {:<5} {:>9} {:>5} {:>9} {:>11} {:>8}  FILE\n", "CAPTURE",
                       "STATE", "MODE", "MEMORY", "DONE", "WRITTEN", "RATE", "LEFT") +
           captures;
  return out + streams_table(domains, now_ms);
}

std::string capture_progress(const Json& capture) {
  constexpr std::size_t kWidth = 20;
  const std::string state = text_at(capture, "state");
  const std::uint64_t all = number_at(capture, "memory_bytes");
  const std::uint64_t so_far = state == "written" ? all : number_at(capture, "done_bytes");
  const std::size_t full = all == 0 ? 0 : std::min(kWidth, kWidth * so_far / all);
  std::string line =
      fmt::format("[{}{}] {:>4} {} of {}", std::string(full, '#'), std::string(kWidth - full, ' '),
                  done(capture), state, format_size(all));
  if (const auto pass = pass_text(capture); !pass.empty()) line += ", " + pass;
  if (written(capture) != "-") line += fmt::format(", {} written", written(capture));
  if (capture.contains("bytes_per_s"))
    line += fmt::format(", {}/s", format_size(number_at(capture, "bytes_per_s")));
  if (capture.contains("remaining_s"))
    line += fmt::format(", {} left", clock_time(number_at(capture, "remaining_s")));
  return line;
}

std::string capture_text(const Json& capture) {
  std::string out = fmt::format("  capture   {}, {}, {}\n", text_at(capture, "name"),
                                text_at(capture, "mode"), capture_progress(capture));
  for (const auto& [key, title] : {std::pair{"panic", "panic"},
                                   {"file", "file"},
                                   {"metadata", "metadata"},
                                   {"error", "error"}})
    if (!text_at(capture, key).empty())
      out += fmt::format("    {:<9} {}\n", title, text_at(capture, key));
  if (text_at(capture, "state") == "kept") out += "    kept      " + kept_text(capture) + "\n";
  if (number_at(capture, "stop_us") != 0)
    out += fmt::format("    stopped   {} us\n", number_at(capture, "stop_us"));
  if (capture.contains("complete") && capture["complete"] == false)
    out += "    incomplete: memory could not be read\n";
  return out;
}

std::string times_text(const Json& dump) {
  if (!dump.contains("times_ms") || !dump["times_ms"].is_object()) return "";
  std::string times;
  for (const auto& [step, ms] : dump["times_ms"].items())
    if (ms.is_number()) times += fmt::format(" {} {:.1f} ms", step, ms.get<double>());
  return times.empty() ? "" : "  times    " + times + "\n";
}

// How the boots of this dump have failed, and what was tried.
std::string window_text(const Json& dump) {
  if (!dump.contains("window") || !dump["window"].is_object()) return "";
  const Json& window = dump["window"];
  if (text_at(window, "why").empty()) return "";
  std::string tried;
  if (window.contains("tried") && window["tried"].is_array())
    for (const Json& one : window["tried"])
      if (one.is_string()) tried += ", " + one.get<std::string>() + " failed";
  std::string grown;
  if (const std::uint64_t from = number_at(window, "grown_from"); from != 0)
    grown = fmt::format(", then {} instead of {}", format_size(number_at(dump, "window_bytes")),
                        format_size(from));
  std::string rescue;
  if (const std::uint64_t since = number_at(window, "rescue_since"); since != 0)
    rescue = fmt::format(", rescue boot from boot {} on", since);
  return fmt::format("  window    {} failed; boot {} {}{}{}{}\n", number_at(window, "failed"),
                     number_at(window, "judged"), text_at(window, "why"), grown, rescue, tried);
}

std::string captures_text(const Json& domain) {
  std::string out;
  if (domain.contains("captures"))
    for (const Json& capture : domain["captures"]) out += capture_text(capture);
  return out;
}

std::string status_text(const Json& domain, std::uint64_t now_ms) {
  if (text_at(domain, "state") == kGone)
    return fmt::format("{} ({})\n  state     {}\n", text_at(domain, "name"),
                       text_at(domain, "uuid"), kGone) +
           captures_text(domain);
  std::string out = fmt::format(
      "{} (domain {}, {})\n  state     {}, for {}\n  memory    {}\n", text_at(domain, "name"),
      number_at(domain, "domid"), text_at(domain, "uuid"), text_at(domain, "state"),
      age(number_at(domain, "since_ms"), now_ms), format_size(number_at(domain, "memory_bytes")));
  if (domain.contains("window")) out += next_window_text(domain["window"]);
  if (!text_at(domain, "note").empty()) out += "  note      " + text_at(domain, "note") + "\n";
  if (domain.contains("guest") && text_at(domain["guest"], "state") != "none")
    out += fmt::format("  guest     {} {}\n", text_at(domain["guest"], "state"),
                       text_at(domain["guest"], "progress"));
  out += captures_text(domain) + streams_text(domain);
  if (!domain.contains("dump")) return out;
  const Json& dump = domain["dump"];
  out += fmt::format("  dump      {}, step {}, boot {}, {} mode\n", text_at(dump, "dump_id"),
                     text_at(dump, "step"), number_at(dump, "boots"), text_at(dump, "mode"));
  if (dump_waits(domain))
    out += fmt::format("  held      {}, released {}, saved {}\n", held(domain),
                       format_size(number_at(dump, "released_bytes")), saved(domain));
  if (dump_waits(domain)) out += window_text(dump);
  if (!text_at(dump, "error").empty()) out += "  error     " + text_at(dump, "error") + "\n";
  return out + times_text(dump);
}

}  // namespace hadump
