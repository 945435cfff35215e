// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/status_json.h"

#include <nlohmann/json.hpp>

#include "core/base/json_text.h"

namespace hadump {

namespace {

nlohmann::ordered_json capture_json(const CaptureView& view) {
  auto json = nlohmann::ordered_json::parse(to_json(view.record));
  const bool is_tracked =
      view.record.state == CaptureState::kTracking || view.record.state == CaptureState::kStopping;
  if (view.tracked && is_tracked) {
    json["pass"] = view.tracked->pass;
    json["left_bytes"] = view.tracked->left_bytes;
    json["dirty_bytes_per_s"] = view.tracked->dirty_bytes_per_s;
  }
  if (!view.progress) return json;
  const DumpProgress& now = *view.progress;
  json["done_bytes"] = now.frames_done << kFrameShift;
  json["written_bytes"] = now.bytes_written;
  if (!view.record.is_open()) return json;
  json["bytes_per_s"] = static_cast<std::uint64_t>(now.bytes_per_second());
  if (const auto left = now.remaining())
    json["remaining_s"] = static_cast<std::uint64_t>(left->count());
  return json;
}

nlohmann::ordered_json stream_json(const StreamView& view) {
  return {{"domid", view.domid},
          {"domain", view.domain},
          {"uuid", view.uuid},
          {"file", view.file},
          {"begun_ms", view.begun_ms},
          {"received_bytes", view.received},
          {"durable_bytes", view.durable}};
}

}  // namespace

std::string to_json(const std::vector<DomainView>& views, const std::vector<CaptureView>& captures,
                    const std::vector<StreamView>& streams) {
  nlohmann::ordered_json domains = nlohmann::ordered_json::array();
  for (const DomainView& view : views) {
    nlohmann::ordered_json domain;
    domain["name"] = view.name;
    domain["uuid"] = view.uuid;
    domain["domid"] = view.domid;
    domain["state"] = view.state;
    domain["since_ms"] = view.since_ms;
    domain["memory_bytes"] = view.memory_bytes;
    if (view.window_bytes != 0)
      domain["window"] = {{"bytes", view.window_bytes},
                          {"chosen", !view.window_why.empty()},
                          {"why", view.window_why}};
    domain["note"] = view.note;
    if (view.job != 0) domain["job"] = view.job;
    domain["failures"] = view.failures;
    domain["next_attempt_in_ms"] = view.wait_ms;
    domain["guest"] = {{"state", to_string(view.progress.state)},
                       {"dump_id", view.progress.dump_id},
                       {"progress", view.progress.text}};
    if (view.progress.held_bytes) domain["guest"]["held_bytes"] = *view.progress.held_bytes;
    if (view.progress.saved_percent)
      domain["guest"]["saved_percent"] = *view.progress.saved_percent;
    if (view.record) {
      domain["dump"] = nlohmann::ordered_json::parse(to_json(*view.record));
      const std::uint64_t held = view.record->held_bytes;
      const bool waits = view.record->step == Step::kStarted;
      const std::uint64_t now = view.progress.held_bytes.value_or(held);
      domain["dump"]["released_bytes"] = waits && now <= held ? held - now : 0;
    }
    domains.push_back(std::move(domain));
  }
  nlohmann::ordered_json all_captures = nlohmann::ordered_json::array();
  for (const CaptureView& view : captures) all_captures.push_back(capture_json(view));
  nlohmann::ordered_json all_streams = nlohmann::ordered_json::array();
  for (const StreamView& view : streams) all_streams.push_back(stream_json(view));
  const nlohmann::ordered_json reply = {{"ok", true},
                                        {"domains", std::move(domains)},
                                        {"captures", std::move(all_captures)},
                                        {"streams", std::move(all_streams)}};
  return json_text(reply) + "\n";
}

}  // namespace hadump
