// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/capture_facts.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/json_text.h"
#include "core/base/trusted_path.h"
#include "hv/domain/json_number.h"

namespace hadump {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned kFactsVersion = 1;
constexpr unsigned kMovedVersion = 2;  // with frames that were moved, which 1 does not know of
// As many ranges as a survey can have, three numbers of twenty digits each, and the registers.
constexpr std::uint64_t kMaxFactsBytes = 64_MiB;

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

Result<std::vector<std::byte>> bytes_of(const std::string& hex) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    const int high = digit(hex[i]), low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return fail(ErrorCode::kBadData, "not a hexadecimal number");
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  if (hex.size() % 2 != 0) return fail(ErrorCode::kBadData, "half a byte");
  return bytes;
}

Json json_of(const FrameSet& frames) {
  Json all = Json::array();
  for (FrameRange range : frames.ranges()) all.push_back({range.begin.value, range.end.value});
  return all;
}

// What was written down is disjoint and in order; nothing else is read.
Result<FrameSet> frames_of(const Json& json) {
  if (!json.is_array() || json.size() > kMaxSurveyRecords)
    return fail(ErrorCode::kBadData, "not a list of frames");
  constexpr std::uint64_t kMaxFrame = HADUMP_MAX_ADDRESS >> kFrameShift;
  FrameSet frames;
  std::uint64_t last = 0;
  for (const Json& one : json) {
    const auto begin = json_number<std::uint64_t>(one.at(0)),
               end = json_number<std::uint64_t>(one.at(1));
    if (begin < last || begin >= end || end > kMaxFrame)
      return fail(ErrorCode::kBadData, "frames that are out of order");
    frames.insert({Gfn{begin}, Gfn{end}});
    last = end;
  }
  return frames;
}

template <typename T>
std::span<const std::byte> bytes_in(const T& object) {
  return std::as_bytes(std::span(&object, 1));
}

Result<std::vector<hadump_vcpu>> vcpus_of(const Json& json) {
  std::vector<hadump_vcpu> vcpus;
  for (const Json& one : json) {
    auto bytes = bytes_of(one.get<std::string>());
    if (!bytes) return fail(std::move(bytes));
    if (vcpus.size() >= HADUMP_MAX_VCPUS || bytes->size() != sizeof(hadump_vcpu))
      return fail(ErrorCode::kBadData, "registers of another kind");
    hadump_vcpu vcpu{};
    std::memcpy(&vcpu, bytes->data(), sizeof(vcpu));
    vcpus.push_back(vcpu);
  }
  return vcpus;
}

Result<> take_survey(const Json& json, FrameSurvey& survey) {
  const std::pair<const char*, FrameSet*> sets[] = {{"ram", &survey.ram},
                                                    {"absent", &survey.absent},
                                                    {"broken", &survey.broken},
                                                    {"special", &survey.special}};
  for (const auto& [key, set] : sets) {
    auto frames = frames_of(json.at(key));
    if (!frames) return fail(std::move(frames), key);
    *set = std::move(*frames);
  }
  return {};
}

Json json_of(const std::vector<MovedFrames>& moved) {
  Json all = Json::array();
  for (const MovedFrames& one : moved)
    all.push_back({one.from.begin.value, one.from.end.value, one.to.value});
  return all;
}

Result<std::vector<MovedFrames>> moved_of(const Json& json) {
  Json ranges = Json::array();
  for (const Json& one : json) ranges.push_back({one.at(0), one.at(1)});
  if (auto frames = frames_of(ranges); !frames) return fail(std::move(frames), "moved");
  constexpr std::uint64_t kMaxFrame = HADUMP_MAX_ADDRESS >> kFrameShift;
  std::vector<MovedFrames> moved;
  for (const Json& one : json) {
    const FrameRange from{Gfn{json_number<std::uint64_t>(one.at(0))},
                          Gfn{json_number<std::uint64_t>(one.at(1))}};
    const Gfn to{json_number<std::uint64_t>(one.at(2))};
    if (to.value > kMaxFrame || from.frames() > kMaxFrame - to.value)
      return fail(ErrorCode::kBadData, "frames that were moved too far");
    moved.push_back({from, to});
  }
  return moved;
}

std::string path_of(const std::string& directory, const std::string& name) {
  return fmt::format("{}/{}.facts", directory, name);
}

}  // namespace

std::string to_json(const CaptureFacts& facts) {
  const FrameSurvey& survey = facts.domain.survey;
  Json json;
  json["version"] = facts.domain.moved.empty() ? kFactsVersion : kMovedVersion;
  json["ram"] = json_of(survey.ram);
  json["absent"] = json_of(survey.absent);
  json["broken"] = json_of(survey.broken);
  json["special"] = json_of(survey.special);
  json["vcpus"] = Json::array();
  for (const hadump_vcpu& vcpu : facts.domain.vcpus)
    json["vcpus"].push_back(hex_of(bytes_in(vcpu)));
  json["vmcoreinfo"] = hex_of(facts.domain.vmcoreinfo_note);
  json["page_offset"] = facts.domain.page_offset.value;
  if (!facts.domain.moved.empty()) {
    json["moved"] = json_of(facts.domain.moved);
    json["unknown"] = facts.unknown;
  }
  json["blueprint"] = facts.blueprint;
  return json_text(json) + "\n";
}

Result<CaptureFacts> parse_facts(const std::string& text) try {
  const Json json = Json::parse(text);
  if (json.at("version") != (json.contains("moved") ? kMovedVersion : kFactsVersion))
    return fail(ErrorCode::kBadData, "the facts of another version");
  CaptureFacts facts;
  if (auto taken = take_survey(json, facts.domain.survey); !taken) return fail(std::move(taken));
  auto vcpus = vcpus_of(json.at("vcpus"));
  if (!vcpus) return fail(std::move(vcpus));
  facts.domain.vcpus = std::move(*vcpus);
  auto note = bytes_of(json.at("vmcoreinfo").get<std::string>());
  if (!note) return fail(std::move(note));
  facts.domain.vmcoreinfo_note = std::move(*note);
  facts.domain.page_offset = GuestVirt{json_number<std::uint64_t>(json.at("page_offset"))};
  if (json.contains("moved")) {
    auto moved = moved_of(json["moved"]);
    if (!moved) return fail(std::move(moved));
    facts.domain.moved = std::move(*moved);
    json.at("unknown").get_to(facts.unknown);
  }
  json.at("blueprint").get_to(facts.blueprint);
  return facts;
} catch (const nlohmann::json::exception& e) {
  return fail(ErrorCode::kBadData, e.what());
}

Result<> save_facts(const std::string& directory, const std::string& name,
                    const CaptureFacts& facts) {
  return hold_in_own_directory(path_of(directory, name)).and_then([&](const HeldFile& file) {
    return file.replace(to_json(facts), 0600);
  });
}

Result<CaptureFacts> load_facts(const std::string& directory, const std::string& name) {
  const std::string path = path_of(directory, name);
  auto text = read_trusted_text_file(path, kMaxFactsBytes);
  if (!text) return fail(std::move(text));
  auto facts = parse_facts(*text);
  if (!facts) return fail(std::move(facts), path);
  return facts;
}

void forget_facts(const std::string& directory, const std::string& name) {
  if (auto file = hold_trusted(path_of(directory, name))) static_cast<void>(file->remove());
}

}  // namespace hadump
