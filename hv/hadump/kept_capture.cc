// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/kept_capture.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/json_text.h"
#include "core/dump/dump_levels.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/kept_vmcore.h"

namespace hadump {
namespace {

// The level that the capture begins with; pages that were listed are all wanted.
unsigned level_of(const CaptureOrder& order) {
  const auto levels = parse_levels(order.dump_level);
  return order.pages.empty() && levels ? levels->front() : 0;
}

}  // namespace

std::optional<CaptureRecord> kept_record(const nlohmann::ordered_json& capture) {
  auto record = parse_capture_record(json_text(capture));
  if (!record || !record->is_aside() || record->file.empty()) return {};
  return std::move(*record);
}

Result<ShownDump> open_kept_capture(const CaptureRecord& record, const std::string& state_directory,
                                    const CommandWorld& world) {
  // It is put aside when the successor is about to be created.
  const auto is_ours = [&world, domid = record.domid, uuid = record.uuid,
                        aside = record.aside_uuid]() -> Result<> {
    auto now = world.uuid_of(domid);
    if (!now) return fail(std::move(now));
    if (*now == aside || *now == uuid) return {};
    return fail(ErrorCode::kNotFound, fmt::format("domain {} is another one now", domid));
  };
  if (auto ours = is_ours(); !ours) return fail(std::move(ours));
  auto facts = load_facts(state_directory + "/captures", record.name);
  if (!facts) return fail(std::move(facts));
  auto memory = world.memory_of(record.domid);
  if (!memory) return fail(std::move(memory));
  auto source = KeptVmcore::open(**memory, facts->domain,
                                 {record.file, record.dump_id, level_of(record.order)}, is_ours);
  if (!source) return fail(std::move(source));
  auto tree = DumpTree::show(std::move(*source), record.file + "-incomplete");
  if (!tree) return fail(std::move(tree));
  return ShownDump{std::move(*memory), std::move(*tree)};
}

}  // namespace hadump
