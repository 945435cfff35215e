// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/record.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "core/abi/hadump_abi.h"
#include "core/base/json_text.h"
#include "core/base/text.h"
#include "hv/domain/domid.h"
#include "hv/domain/guest_memory.h"
#include "hv/domain/json_number.h"

namespace hadump {
namespace {

constexpr std::array<std::string_view, 13> kStepNames = {"none",
                                                         "paused",
                                                         "vcpus-saved",
                                                         "memory-added",
                                                         "low-copied",
                                                         "snapshot-complete",
                                                         "backends-disconnected",
                                                         "reset",
                                                         "loaded",
                                                         "reconnected",
                                                         "vcpus-set",
                                                         "started",
                                                         "done"};
static_assert(kStepNames.size() == static_cast<std::size_t>(Step::kDone) + 1);

// A hadumpd that does not know of them would lose what is in the spare frames.
constexpr int kWithReplaced = 2;

Result<DumpId> parse_dump_id(const std::string& text) {
  DumpId id{};
  if (text.size() != 2 * id.size()) return fail(ErrorCode::kBadData, "a malformed dump id");
  for (std::size_t i = 0; i < id.size(); ++i) {
    auto byte = parse_hex(std::string_view(text).substr(2 * i, 2));
    if (!byte) return fail(std::move(byte));
    id[i] = static_cast<std::uint8_t>(*byte);
  }
  return id;
}

Result<FrameRange> parse_area(const nlohmann::ordered_json& json) {
  const auto address = json_number<std::uint64_t>(json.at("address"));
  const auto bytes = json_number<std::uint64_t>(json.at("bytes"));
  if (!is_aligned(address, kFrameSize) || !is_aligned(bytes, kFrameSize) ||
      bytes > HADUMP_MAX_ADDRESS || address > HADUMP_MAX_ADDRESS - bytes)
    return fail(ErrorCode::kBadData, "an impossible save area");
  return frames_of_bytes(address, bytes);
}

// As ranges of frame numbers. Older records have none.
nlohmann::ordered_json json_of(const FrameSet& frames) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (FrameRange range : frames.ranges()) json.push_back({range.begin.value, range.end.value});
  return json;
}

Result<FrameSet> parse_replaced(const nlohmann::ordered_json& record) {
  FrameSet frames;
  if (!record.contains("replaced")) return frames;
  for (const auto& range : record["replaced"]) {
    const Gfn begin{json_number<std::uint64_t>(range.at(0))};
    const Gfn end{json_number<std::uint64_t>(range.at(1))};
    if (begin >= end || end.value > HADUMP_MAX_ADDRESS >> kFrameShift ||
        end.value - begin.value > GuestMemory::kSpareFrames)
      return fail(ErrorCode::kBadData, "impossible replaced frames");
    frames.insert({begin, end});
  }
  if (frames.frames() > GuestMemory::kSpareFrames)
    return fail(ErrorCode::kBadData, "more replaced frames than there are spare ones");
  return frames;
}

nlohmann::ordered_json json_of(FrameRange area) {
  return {{"address", address_of(area.begin).value}, {"bytes", area.bytes()}};
}

nlohmann::ordered_json json_of(const WindowHistory& window) {
  nlohmann::ordered_json json = {{"had_module", window.had_module},
                                 {"failed", window.failed},
                                 {"judged", window.judged},
                                 {"saving", window.saving},
                                 {"stopped", window.stopped},
                                 {"why", window.why},
                                 {"grown_from", window.grown_from},
                                 {"can_rescue", window.can_rescue},
                                 {"rescue_since", window.rescue_since}};
  json["tried"] = nlohmann::ordered_json::array();
  for (WindowStep step : window.tried) json["tried"].push_back(to_string(step));
  return json;
}

Result<WindowHistory> parse_window(const nlohmann::ordered_json& json) {
  WindowHistory window;
  json.at("had_module").get_to(window.had_module);
  take_number(json, "failed", window.failed);
  take_number(json, "judged", window.judged);
  take_number(json, "saving", window.saving);
  take_number(json, "stopped", window.stopped);
  json.at("why").get_to(window.why);
  take_number_if_any(json, "grown_from", window.grown_from);  // older records have none
  window.can_rescue = json.value("can_rescue", false);        // the same
  take_number_if_any(json, "rescue_since", window.rescue_since);
  for (const auto& word : json.at("tried")) {
    auto step = parse_window_step(word.get<std::string>());
    if (!step) return fail(std::move(step));
    window.note_tried(*step);
  }
  return window;
}

}  // namespace

std::string_view to_string(Step step) {
  return kStepNames.at(static_cast<std::size_t>(step));
}

Result<Step> parse_step(std::string_view text) {
  for (std::size_t i = 0; i < kStepNames.size(); ++i)
    if (kStepNames.at(i) == text) return static_cast<Step>(i);
  return fail(ErrorCode::kBadData, fmt::format("unknown step '{}'", text));
}

std::string to_json(const DomainRecord& record) {
  nlohmann::ordered_json json;
  json["version"] = record.replaced.empty() ? 1 : kWithReplaced;
  json["uuid"] = record.uuid;
  json["name"] = record.name;
  json["domid"] = record.domid;
  json["boot_id"] = record.boot_id;
  json["step"] = to_string(record.step);
  json["mode"] = to_string(record.mode);
  json["save_area"] = json_of(record.save_area);
  if (!record.other_area.empty()) json["other_area"] = json_of(record.other_area);
  json["dump_id"] = to_hex(record.dump_id);
  json["crash_time"] = record.crash_time;
  json["boots"] = record.boots;
  json["committed"] = record.committed;
  json["dump_over"] = record.dump_over;
  json["rewrite_pending"] = record.rewrite_pending;
  json["window_bytes"] = record.window_bytes;
  json["boot_bytes"] = record.boot_bytes;
  json["held_bytes"] = record.held_bytes;
  json["absent_frames"] = record.absent_frames;
  json["full_scan"] = record.full_scan;
  json["old_target_kib"] = record.old_target_kib;
  json["raised_target_kib"] = record.raised_target_kib;
  json["old_limit_kib"] = record.old_limit_kib;
  json["raised_limit_kib"] = record.raised_limit_kib;
  if (!record.replaced.empty()) json["replaced"] = json_of(record.replaced);
  json["crashes"] = record.crashes;
  json["crash_counted"] = record.crash_counted;
  json["quick_restarts"] = record.quick_restarts;
  json["window"] = json_of(record.window);
  json["error"] = record.error;
  json["times_ms"] = nlohmann::ordered_json::object();
  for (const auto& [step, ms] : record.times) json["times_ms"][step] = ms;
  json["noticed_ms"] = record.noticed_ms;
  json["started_ms"] = record.started_ms;
  json["done_ms"] = record.done_ms;
  return json_text(json, 2) + "\n";
}

Result<DomainRecord> parse_record(const std::string& text) try {
  const nlohmann::ordered_json json = nlohmann::ordered_json::parse(text);
  if (json.at("version") != 1 && json.at("version") != kWithReplaced)
    return fail(ErrorCode::kUnsupported, "a state file of a newer version");
  DomainRecord record;
  json.at("uuid").get_to(record.uuid);
  json.at("name").get_to(record.name);
  auto domid = checked_domid(json_number<std::uint64_t>(json.at("domid")));
  if (!domid) return fail(std::move(domid));
  record.domid = *domid;
  record.boot_id = json.value("boot_id", "");  // older records have none
  auto step = parse_step(json.at("step").get<std::string>());
  if (!step) return fail(std::move(step));
  record.step = *step;
  auto mode = parse_save_mode(json.at("mode").get<std::string>());
  if (!mode) return fail(std::move(mode));
  record.mode = *mode;
  auto area = parse_area(json.at("save_area"));
  if (!area) return fail(std::move(area));
  record.save_area = *area;
  if (json.contains("other_area")) {  // the same
    auto other = parse_area(json["other_area"]);
    if (!other) return fail(std::move(other));
    record.other_area = *other;
  }
  auto id = parse_dump_id(json.at("dump_id").get<std::string>());
  if (!id) return fail(std::move(id));
  record.dump_id = *id;
  take_number(json, "crash_time", record.crash_time);
  take_number(json, "boots", record.boots);
  json.at("committed").get_to(record.committed);
  record.dump_over = json.value("dump_over", false);  // the same
  json.at("rewrite_pending").get_to(record.rewrite_pending);
  take_number(json, "window_bytes", record.window_bytes);
  take_number(json, "boot_bytes", record.boot_bytes);
  take_number(json, "held_bytes", record.held_bytes);
  take_number(json, "absent_frames", record.absent_frames);
  json.at("full_scan").get_to(record.full_scan);
  take_number(json, "old_target_kib", record.old_target_kib);
  take_number(json, "raised_target_kib", record.raised_target_kib);
  take_number(json, "old_limit_kib", record.old_limit_kib);
  take_number(json, "raised_limit_kib", record.raised_limit_kib);
  auto replaced = parse_replaced(json);
  if (!replaced) return fail(std::move(replaced));
  record.replaced = std::move(*replaced);
  for (const auto& when : json.at("crashes"))
    record.crashes.push_back(json_number<std::uint64_t>(when));
  record.crash_counted = json.value("crash_counted", false);  // the same
  take_number_if_any(json, "quick_restarts", record.quick_restarts);
  if (json.contains("window")) {  // the same
    auto window = parse_window(json["window"]);
    if (!window) return fail(std::move(window));
    record.window = std::move(*window);
  }
  json.at("error").get_to(record.error);
  for (const auto& [name, ms] : json.at("times_ms").items())
    record.times.emplace_back(name, ms.get<double>());
  take_number(json, "noticed_ms", record.noticed_ms);
  take_number(json, "started_ms", record.started_ms);
  take_number(json, "done_ms", record.done_ms);
  return record;
} catch (const nlohmann::json::exception& e) {
  return fail(ErrorCode::kBadData, fmt::format("a malformed state file: {}", e.what()));
} catch (const std::out_of_range& e) {
  return fail(ErrorCode::kBadData, fmt::format("a malformed state file: {}", e.what()));
}

}  // namespace hadump
