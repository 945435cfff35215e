// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/metadata.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/json_text.h"
#include "core/base/trusted_path.h"
#include "core/dump/dump_levels.h"
#include "hv/domain/guest_kind.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kSchema = "hadump-capture";
constexpr unsigned kMetadataVersion = 1;
constexpr std::uint64_t kMaxMetadataBytes = 1_MiB;
// In elf_gregset_t's order.
constexpr std::size_t kRip = 16;
constexpr std::size_t kRsp = 19;

// Anybody may have written it.
bool is_metadata(const Json& json) {
  return json.is_object() && json.contains("schema") && json["schema"] == kSchema &&
         json.contains("header") && json["header"].is_object();
}

bool is_of_dump(const Json& json, const std::string& dump_id) {
  return is_metadata(json) && json["header"].contains("dump_id") &&
         json["header"]["dump_id"] == dump_id;
}

std::string text_of(const Json& json) {
  return json_text(json, 2) + "\n";
}

std::string hex(std::uint64_t value) {
  return fmt::format("{:#x}", value);
}

std::string_view to_string(ShutdownReason reason) {
  switch (reason) {
    case ShutdownReason::kPoweroff:
      return "poweroff";
    case ShutdownReason::kReboot:
      return "reboot";
    case ShutdownReason::kSuspend:
      return "suspend";
    case ShutdownReason::kCrash:
      return "crash";
    case ShutdownReason::kWatchdog:
      return "watchdog";
    case ShutdownReason::kSoftReset:
      return "soft-reset";
    case ShutdownReason::kUnknown:
      break;
  }
  return "unknown";
}

Json vcpus_json(const std::vector<hadump_vcpu>& vcpus) {
  Json all = Json::array();
  for (const hadump_vcpu& vcpu : vcpus)
    all.push_back({{"id", vcpu.id},
                   {"online", (vcpu.flags & HADUMP_VCPU_ONLINE) != 0},
                   {"rip", hex(vcpu.gregs[kRip])},
                   {"rsp", hex(vcpu.gregs[kRsp])},
                   {"cr3", hex(vcpu.cr3)}});
  return all;
}

Json unknown_json(const CaptureFindings& findings) {
  Json all = Json::array();
  for (const auto& [what, why] : findings.unknown) all.push_back({{"what", what}, {"why", why}});
  return all;
}

Json frames_json(const FrameSurvey& survey) {
  return {{"dumped", survey.dumped().frames()},
          {"absent", survey.absent.frames()},
          {"broken", survey.broken.frames()},
          {"special", survey.special.frames()}};
}

// Frames in passes count again and again.
Json throttled_json(const LiveInstant& live) {
  if (live.throttled.set.empty()) return nullptr;
  return {{"cap_before", live.throttled.before},
          {"caps", live.throttled.set},
          {"us", live.throttled_for.count()}};
}

Json live_json(const LiveInstant& live, const CaptureOrder& order) {
  Json passes = Json::array();
  for (const LivePass& pass : live.passes)
    passes.push_back(
        {{"bytes", pass.frames << kFrameShift},
         {"copied_in_us", pass.copied_in.count()},
         {"lasted_us", pass.lasted.count()},
         {"written_bytes", pass.written << kFrameShift},
         {"written_bytes_per_s", static_cast<std::uint64_t>(pass.dirty_rate() * kFrameSize)}});
  return {{"instant_ms", live.at_ms},
          {"stop_us", live.stopped.count()},
          {"stop_bytes", live.stopped_frames << kFrameShift},
          {"granted_bytes", live.unlogged_frames << kFrameShift},
          {"max_stop_ms", order.max_stop_ms},
          {"if_busy", order.if_busy},
          {"stops_taken_back", live.taken_back},
          {"taken_back_us", live.taken_back_for.count()},
          {"throttled", throttled_json(live)},
          {"passes", std::move(passes)}};
}

Json header_json(const CaptureRecord& record, const DomainConfig& config,
                 const CaptureFindings& findings, const std::string& host_name,
                 const std::string& log_file) {
  const DomainFacts& facts = findings.facts;
  Json header;
  header["name"] = record.name;
  header["dump_id"] = record.dump_id;
  header["mode"] = record.order.mode;
  header["begun_ms"] = record.begun_ms;
  header["host"] = host_name;
  header["domain"] = {
      {"name", record.domain},
      {"uuid", record.uuid},
      {"domid", record.domid},
      {"type", config.kind == nullptr ? "" : config.kind->name},
      {"memory_bytes", config.memory_bytes},
      {"shutdown_reason",
       findings.status.shutdown ? Json(to_string(findings.status.reason)) : Json(nullptr)}};
  if (findings.live) header["live"] = live_json(*findings.live, record.order);
  header["dump"] = {
      {"format", record.order.format},
      {"compress", record.order.compress},
      {"dump_levels", parse_levels(record.order.dump_level).value_or(std::vector<unsigned>{})},
      {"file", fs::path(record.file).filename().string()},
      {"log", fs::path(log_file).filename().string()}};
  header["crash_time"] =
      findings.kernel.crash_time_s ? Json(*findings.kernel.crash_time_s) : Json(nullptr);
  header["panic"] = record.panic.empty() ? Json(nullptr) : Json(record.panic);
  header["kernel"] = {{"release", findings.kernel.release}, {"build_id", findings.kernel.build_id}};
  header["page_offset"] =
      facts.page_offset.value == 0 ? Json(nullptr) : Json(hex(facts.page_offset.value));
  header["vcpus"] = vcpus_json(facts.vcpus);
  header["frames"] = frames_json(facts.survey);
  if (findings.listed)
    header["pages"] = {{"asked", findings.listed->asked}, {"unmapped", findings.listed->unmapped}};
  header["unknown"] = unknown_json(findings);
  return header;
}

}  // namespace

std::string metadata_text(const CaptureRecord& record, const DomainConfig& config,
                          const CaptureFindings& findings, const std::string& host_name,
                          const std::string& log_file) {
  Json json;
  json["schema"] = kSchema;
  json["version"] = kMetadataVersion;
  json["header"] = header_json(record, config, findings, host_name, log_file);
  return text_of(json);
}

Result<std::string> with_trailer(const std::string& header, const CaptureTrailer& end,
                                 const DumpProgress* progress) {
  Json json = Json::parse(header, nullptr, /*allow_exceptions=*/false);
  if (!is_metadata(json)) return fail(ErrorCode::kBadData, "not the metadata of a capture");
  Json trailer;
  trailer["ended_ms"] = end.ended_ms;
  trailer["complete"] = end.complete;
  trailer["file_bytes"] = end.file_bytes;
  const auto number = [&](std::uint64_t value) {
    return progress != nullptr ? Json(value) : Json();
  };
  const DumpProgress known = progress != nullptr ? *progress : DumpProgress{};
  trailer["frames_written"] =
      number(known.frames_done - known.frames_left_out - known.frames_missing);
  trailer["frames_left_out"] = number(known.frames_left_out);
  trailer["frames_lost"] = number(known.frames_missing);
  json["trailer"] = std::move(trailer);
  return text_of(json);
}

std::optional<CaptureTrailer> read_trailer(const std::string& path, const std::string& dump_id) {
  const auto text = read_metadata(path);
  const Json json = Json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!is_of_dump(json, dump_id) || !json.contains("trailer")) return {};
  const Json& trailer = json["trailer"];
  const auto is_number = [&](const char* key) {
    return trailer.contains(key) && trailer[key].is_number_unsigned();
  };
  if (!trailer.is_object() || !is_number("ended_ms") || !is_number("file_bytes") ||
      !trailer.contains("complete"))
    return {};
  return CaptureTrailer{trailer["ended_ms"].get<std::uint64_t>(),
                        trailer["file_bytes"].get<std::uint64_t>(), trailer["complete"] == true};
}

Result<MetadataOwner> owner_of_metadata(const std::string& path, const std::string& dump_id,
                                        const std::string& capture) {
  auto file = hold_trusted(path);
  if (!file) return fail(std::move(file));
  if (!file->exists()) return MetadataOwner::kNobody;
  auto text = read_trusted_text_file(*file, kMaxMetadataBytes);
  const Json json = Json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!is_of_dump(json, dump_id)) return MetadataOwner::kOther;
  const Json& header = json["header"];
  const bool is_this = header.contains("name") && header["name"] == capture;
  return is_this ? MetadataOwner::kThisCapture : MetadataOwner::kSameDump;
}

Result<> check_metadata_place(const std::string& path, const std::string& dump_id) {
  auto owner = owner_of_metadata(path, dump_id, "");
  if (!owner) return fail(std::move(owner));
  if (*owner == MetadataOwner::kOther) return fail_os(EEXIST, "creating " + path);
  return {};
}

Result<> write_metadata(const std::string& path, const std::string& text) {
  return hold_trusted(path).and_then(
      [&](const HeldFile& file) { return file.replace(text, 0600); });
}

Result<std::string> read_metadata(const std::string& path) {
  return read_trusted_text_file(path, kMaxMetadataBytes);
}

}  // namespace hadump
