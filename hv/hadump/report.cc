// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/text.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;

std::string age(std::uint64_t since_ms, std::uint64_t now_ms) {
  const std::uint64_t seconds = now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
  constexpr std::uint64_t kDay = 86400;
  if (seconds >= kDay) return fmt::format("{}d{:02}h", seconds / kDay, seconds % kDay / 3600);
  return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60);
}

std::string text_at(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

std::uint64_t number_at(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_number_unsigned() ? json[key].get<std::uint64_t>() : 0;
}

bool dump_waits(const Json& domain) {
  return domain.contains("dump") && text_at(domain["dump"], "step") == "started";
}

// What is still held: the guest's word, or all of it before the guest has said anything.
std::string held(const Json& domain) {
  if (!dump_waits(domain)) return "-";
  const std::uint64_t all = number_at(domain["dump"], "held_bytes");
  return format_size(all - number_at(domain["dump"], "released_bytes"));
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
  return text_at(domain, "name") == wanted || text_at(domain, "uuid") == wanted ||
         std::to_string(number_at(domain, "domid")) == wanted;
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
  std::string out = fmt::format("{:<24} {:>5} {:<11} {:>9} {:>9} {:>9} {:>5}\n", "NAME", "ID",
                                "STATE", "SINCE", "MEMORY", "HELD", "SAVED");
  for (const Json& domain : domains)
    out += fmt::format("{:<24} {:>5} {:<11} {:>9} {:>9} {:>9} {:>5}{}\n", text_at(domain, "name"),
                       number_at(domain, "domid"), text_at(domain, "state"),
                       age(number_at(domain, "since_ms"), now_ms),
                       format_size(number_at(domain, "memory_bytes")), held(domain), saved(domain),
                       text_at(domain, "note").empty() ? "" : "  " + text_at(domain, "note"));
  return out;
}

std::string status_text(const Json& domain, std::uint64_t now_ms) {
  std::string out = fmt::format(
      "{} (domain {}, {})\n  state     {}, for {}\n  memory    {}\n", text_at(domain, "name"),
      number_at(domain, "domid"), text_at(domain, "uuid"), text_at(domain, "state"),
      age(number_at(domain, "since_ms"), now_ms), format_size(number_at(domain, "memory_bytes")));
  if (!text_at(domain, "note").empty()) out += "  note      " + text_at(domain, "note") + "\n";
  if (domain.contains("guest") && text_at(domain["guest"], "state") != "none")
    out += fmt::format("  guest     {} {}\n", text_at(domain["guest"], "state"),
                       text_at(domain["guest"], "progress"));
  if (!domain.contains("dump")) return out;
  const Json& dump = domain["dump"];
  out += fmt::format("  dump      {}, step {}, boot {}, {} mode\n", text_at(dump, "dump_id"),
                     text_at(dump, "step"), number_at(dump, "boots"), text_at(dump, "mode"));
  if (dump_waits(domain))
    out += fmt::format("  held      {}, released {}, saved {}\n", held(domain),
                       format_size(number_at(dump, "released_bytes")), saved(domain));
  if (!text_at(dump, "error").empty()) out += "  error     " + text_at(dump, "error") + "\n";
  if (dump.contains("times_ms") && !dump["times_ms"].empty()) {
    out += "  times    ";
    for (const auto& [step, ms] : dump["times_ms"].items())
      out += fmt::format(" {} {:.1f} ms", step, ms.get<double>());
    out += "\n";
  }
  return out;
}

}  // namespace hadump
