// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/requests.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/json_text.h"
#include "hv/domain/domid.h"
#include "hv/hadumpd/status_json.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

// For what the guests say now. xenstored answers in much less; if it does not, what they said last
// is shown.
constexpr milliseconds kGuestsPatience{500};
// For a domain that hadumpd is only just looking at.
constexpr milliseconds kNewcomerPatience{5000};

std::string line_of(const Json& json) {
  return json_text(json) + "\n";
}

std::string refusal(const std::string& why) {
  return line_of({{"ok", false}, {"error", why}});
}

// Nothing when a word is missing.
std::optional<CaptureOrder> order_of(const Json& json) {
  CaptureOrder order;
  const std::pair<const char*, std::string*> words[] = {{"mode", &order.mode},
                                                        {"to", &order.to},
                                                        {"format", &order.format},
                                                        {"compress", &order.compress},
                                                        {"dump_level", &order.dump_level}};
  for (const auto& [key, word] : words) {
    if (!json.contains(key) || !json[key].is_string()) return {};
    *word = json[key].get<std::string>();
  }
  if (json.contains("pages") && json["pages"].is_string())
    order.pages = json["pages"].get<std::string>();
  if (json.contains("if_busy") && json["if_busy"].is_string())
    order.if_busy = json["if_busy"].get<std::string>();
  if (json.contains("max_stop_ms") && json["max_stop_ms"].is_number_unsigned())
    order.max_stop_ms = json["max_stop_ms"].get<std::uint64_t>();
  order.restart = json.value("restart", Json()) == true;
  return order;
}

}  // namespace

std::optional<std::string> Requests::answer(StatusServer::Query& query) {
  const auto json = Json::parse(query.line, nullptr, /*allow_exceptions=*/false);
  const auto number = [&](const char* key) -> std::optional<std::uint64_t> {
    if (!json.contains(key) || !json[key].is_number_unsigned()) return {};
    return json[key].get<std::uint64_t>();
  };
  if (json.is_object() && json.contains("command")) {
    const Json& command = json["command"];
    if (command == "list") return list(query);
    if (command == "trigger")
      if (const auto given = number("domid")) {
        const auto domid = checked_domid(*given);
        if (!domid) return refusal(domid.error().what());
        return trigger(*domid, json.value("again", Json()) == true, query);
      }
    if (command == "capture")
      if (const auto given = number("domid")) {
        const auto domid = checked_domid(*given);
        if (!domid) return refusal(domid.error().what());
        if (const auto order = order_of(json)) return capture(*domid, *order, query);
      }
    if (command == "discard" && json.contains("name") && json["name"].is_string())
      return discard(json["name"].get<std::string>());
    if (command == "captures") return to_json(std::vector<DomainView>{}, caretaker_.captures(), {});
    if (command == "job")
      if (const auto job = number("job")) return this->job(*job);
  }
  return refusal("malformed request");
}

std::optional<std::string> Requests::list(StatusServer::Query& query) {
  if (query.ticket == 0) query.ticket = guests_.ask();
  if (!guests_.answered(query.ticket) && query.waited < kGuestsPatience) return {};
  caretaker_.heard(guests_.heard());
  return to_json(caretaker_.views(), caretaker_.captures(), streams_.views());
}

std::optional<std::string> Requests::trigger(unsigned domid, bool again,
                                             const StatusServer::Query& query) {
  if (caretaker_.is_new(domid) && query.waited < kNewcomerPatience) return {};
  auto started = caretaker_.trigger(domid, again);
  if (!started) return refusal(started.error().what());
  return line_of({{"ok", true}, {"job", *started}});
}

std::optional<std::string> Requests::capture(unsigned domid, const CaptureOrder& order,
                                             const StatusServer::Query& query) {
  if (caretaker_.is_new(domid) && query.waited < kNewcomerPatience) return {};
  auto started = caretaker_.capture(domid, order);
  if (!started) return refusal(started.error().what());
  return line_of({{"ok", true}, {"job", started->job}, {"name", started->name}});
}

std::string Requests::discard(const std::string& name) {
  auto started = caretaker_.discard(name);
  if (!started) return refusal(started.error().what());
  return line_of({{"ok", true}, {"job", *started}});
}

std::string Requests::job(JobNumber number) const {
  const auto state = jobs_.state(number);
  if (!state) return refusal(fmt::format("job {} does not exist, or ended long ago", number));
  Json json = {{"ok", true}, {"job", number}, {"what", state->what}, {"over", state->over}};
  if (state->error) json["error"] = state->error->what();
  return line_of(json);
}

}  // namespace hadump
