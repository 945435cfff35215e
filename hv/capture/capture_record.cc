// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/capture_record.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "core/base/json_text.h"
#include "hv/domain/domid.h"
#include "hv/domain/json_number.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;

// A hadumpd that does not know of waiting dumps would write the wrong kernel's memory.
constexpr unsigned kRecordVersion = 1;
constexpr unsigned kWaitingVersion = 2;
constexpr std::uint64_t kMaxCap = 0xffff;  // Xen's have 16 bits
constexpr std::array<std::string_view, 8> kStateNames = {
    "examining", "leaving", "writing", "written", "failed", "kept", "tracking", "stopping"};
static_assert(kStateNames.size() == static_cast<std::size_t>(CaptureState::kStopping) + 1);

Result<CaptureState> parse_state(std::string_view text) {
  for (std::size_t i = 0; i < kStateNames.size(); ++i)
    if (kStateNames.at(i) == text) return static_cast<CaptureState>(i);
  return fail(ErrorCode::kBadData, fmt::format("unknown capture state '{}'", text));
}

Result<unsigned> parse_cap(const Json& json) {
  const auto cap = json_number<std::uint64_t>(json);
  if (cap > kMaxCap) return fail(ErrorCode::kBadData, fmt::format("a cap of {} %", cap));
  return static_cast<unsigned>(cap);
}

Result<CapChange> parse_cap_change(const Json& json) {
  auto before = parse_cap(json.at("cap_before"));
  if (!before) return fail(std::move(before));
  CapChange change{*before, {}};
  for (const Json& one : json.at("caps").get_ref<const Json::array_t&>()) {
    auto cap = parse_cap(one);
    if (!cap) return fail(std::move(cap));
    change.set.push_back(*cap);
  }
  return change;
}

// Earlier releases did not have these. @throws as json_number() does.
Result<> take_live(const Json& json, CaptureRecord& record) {
  take_number_if_any(json, "max_stop_ms", record.order.max_stop_ms);
  record.order.if_busy = json.value("if_busy", CaptureOrder().if_busy);
  take_number_if_any(json, "stop_us", record.stop_us);
  if (!json.contains("throttled")) return {};
  auto throttled = parse_cap_change(json.at("throttled"));
  if (!throttled) return fail(std::move(throttled));
  record.throttled = std::move(*throttled);
  return {};
}

// A name is a file's name in the state directory.
bool is_file_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos;
}

}  // namespace

std::string_view to_string(CaptureState state) {
  return kStateNames.at(static_cast<std::size_t>(state));
}

std::string to_json(const CaptureRecord& record) {
  Json json;
  json["version"] = record.waiting_dump.empty() ? kRecordVersion : kWaitingVersion;
  json["name"] = record.name;
  json["domain"] = record.domain;
  json["uuid"] = record.uuid;
  json["domid"] = record.domid;
  json["boot_id"] = record.boot_id;
  json["dump_id"] = record.dump_id;
  json["mode"] = record.order.mode;
  json["to"] = record.order.to;
  json["format"] = record.order.format;
  json["compress"] = record.order.compress;
  json["dump_level"] = record.order.dump_level;
  json["pages"] = record.order.pages;
  json["restart"] = record.order.restart;
  if (record.is_live()) {
    json["max_stop_ms"] = record.order.max_stop_ms;
    json["if_busy"] = record.order.if_busy;
    json["stop_us"] = record.stop_us;
    if (record.throttled)
      json["throttled"] = {{"cap_before", record.throttled->before},
                           {"caps", record.throttled->set}};
  }
  json["state"] = to_string(record.state);
  json["file"] = record.file;
  json["metadata"] = record.metadata;
  json["panic"] = record.panic;
  json["error"] = record.error;
  json["begun_ms"] = record.begun_ms;
  json["ended_ms"] = record.ended_ms;
  json["memory_bytes"] = record.memory_bytes;
  json["file_bytes"] = record.file_bytes;
  json["complete"] = record.complete;
  json["domain_kept"] = record.domain_kept;
  json["waiting_dump"] = record.waiting_dump;
  json["parks"] = record.parks;
  json["unattended"] = record.unattended;
  json["aside_uuid"] = record.aside_uuid;
  json["begun_kib"] = record.begun_kib;
  json["successor_kib"] = record.successor_kib;
  json["full_kib"] = record.full_kib;
  json["given_back_bytes"] = record.given_back_bytes;
  return json_text(json, 2) + "\n";
}

Result<CaptureRecord> parse_capture_record(const std::string& text) try {
  const Json json = Json::parse(text);
  const bool waits = !json.value("waiting_dump", "").empty();
  if (json.at("version") != (waits ? kWaitingVersion : kRecordVersion))
    return fail(ErrorCode::kBadData, "a capture record of another version");
  CaptureRecord record;
  json.at("name").get_to(record.name);
  json.at("domain").get_to(record.domain);
  json.at("uuid").get_to(record.uuid);
  auto domid = checked_domid(json_number<std::uint64_t>(json.at("domid")));
  if (!domid) return fail(std::move(domid));
  record.domid = *domid;
  json.at("boot_id").get_to(record.boot_id);
  json.at("dump_id").get_to(record.dump_id);
  json.at("mode").get_to(record.order.mode);
  json.at("to").get_to(record.order.to);
  json.at("format").get_to(record.order.format);
  json.at("compress").get_to(record.order.compress);
  json.at("dump_level").get_to(record.order.dump_level);
  json.at("restart").get_to(record.order.restart);
  json.at("file").get_to(record.file);
  json.at("metadata").get_to(record.metadata);
  json.at("panic").get_to(record.panic);
  json.at("error").get_to(record.error);
  take_number(json, "begun_ms", record.begun_ms);
  take_number(json, "ended_ms", record.ended_ms);
  take_number(json, "memory_bytes", record.memory_bytes);
  take_number(json, "file_bytes", record.file_bytes);
  json.at("complete").get_to(record.complete);
  json.at("domain_kept").get_to(record.domain_kept);
  // Earlier releases did not have these.
  record.order.pages = json.value("pages", "");
  record.waiting_dump = json.value("waiting_dump", "");
  record.parks = json.value("parks", false);
  record.unattended = json.value("unattended", false);
  if (auto taken = take_live(json, record); !taken) return fail(std::move(taken));
  record.aside_uuid = json.value("aside_uuid", "");
  take_number_if_any(json, "begun_kib", record.begun_kib);
  take_number_if_any(json, "successor_kib", record.successor_kib);
  take_number_if_any(json, "full_kib", record.full_kib);
  take_number_if_any(json, "given_back_bytes", record.given_back_bytes);
  auto state = parse_state(json.at("state").get<std::string>());
  if (!state) return fail(std::move(state));
  record.state = *state;
  if (!is_file_name(record.name))
    return fail(ErrorCode::kBadData, "a capture record without a name");
  return record;
} catch (const nlohmann::json::exception& e) {
  return fail(ErrorCode::kBadData, e.what());
}

}  // namespace hadump
