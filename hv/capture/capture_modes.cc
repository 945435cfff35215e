// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/capture_modes.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/codec/codec.h"
#include "core/dump/dump_levels.h"
#include "core/dump/output_format.h"
#include "hv/capture/alias_mode.h"
#include "hv/capture/copy_mode.h"
#include "hv/capture/live_mode.h"
#include "hv/capture/live_plan.h"
#include "hv/capture/succession.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxStopMs = 60000;
constexpr std::size_t kMaxPaths = 3000;  // with the rest of a request in one line of 4096

// The domain is not to be restarted, or the host has no room for two: then it is copied.
Result<> choose_mode(const CaptureWorld& world, CaptureRecord& record);

constexpr CaptureMode kModes[] = {
    {"copy", "the memory is written to a file while the domain stays as it crashed", copy_domain},
    {"alias",
     "a new domain takes its place at once, and gets the old memory as that is written to a file",
     alias_domain, true},
    {kLiveMode, "of a domain that runs, and goes on running: all pages as they were at one instant",
     live_domain},
    {"auto", "alias with --restart if the host has room for a new domain, else copy", choose_mode},
};

Result<> choose_mode(const CaptureWorld& world, CaptureRecord& record) {
  const auto room = record.order.restart ? successor_room(world, world.config.blueprint)
                                         : Result<HostRoom>(fail(ErrorCode::kBusy, "no --restart"));
  record.order.mode = room ? "alias" : "copy";
  world.info(room ? "mode alias" : fmt::format("mode copy: {}", room.error().what()));
  return (room ? alias_domain : copy_domain)(world, record);
}

std::string mode_names() {
  std::string text(kModes[0].name);
  for (const CaptureMode& mode : std::span(kModes).subspan(1))
    text += fmt::format("{}{}", &mode == std::end(kModes) - 1 ? " or " : ", ", mode.name);
  return text;
}

Result<> check_live_words(const CaptureOrder& order) {
  const CaptureOrder unsaid;
  if (!parse_if_busy(order.if_busy))
    return fail(ErrorCode::kBadData, fmt::format("--if-busy: invalid word '{}'; use {}",
                                                 order.if_busy, if_busy_words()));
  if (order.max_stop_ms == 0 || order.max_stop_ms > kMaxStopMs)
    return fail(ErrorCode::kBadData,
                fmt::format("--max-stop: use 1 to {} milliseconds", kMaxStopMs));
  if (order.mode == kLiveMode)
    return order.restart ? Result<>(fail(ErrorCode::kBadData,
                                         "--restart: the domain of a live dump goes on running"))
                         : Result<>();
  if (order.max_stop_ms != unsaid.max_stop_ms || order.if_busy != unsaid.if_busy)
    return fail(ErrorCode::kBadData, "--max-stop and --if-busy are for --mode live");
  return {};
}

}  // namespace

const CaptureMode* find_capture_mode(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kModes), std::end(kModes),
                                         [&](const CaptureMode& one) { return one.name == name; });
  return found == std::end(kModes) ? nullptr : found;
}

std::string capture_mode_help() {
  std::string text;
  for (const CaptureMode& mode : kModes)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", mode.name, mode.summary);
  return text;
}

Result<> check_order(const CaptureOrder& order) {
  if (find_capture_mode(order.mode) == nullptr)
    return fail(ErrorCode::kBadData,
                fmt::format("--mode: invalid mode '{}'; use {}", order.mode, mode_names()));
  if (order.to.empty()) return fail(ErrorCode::kBadData, "--to PATH is needed");
  if (order.to.front() != '/' || order.to.find('\n') != std::string::npos)
    return fail(ErrorCode::kBadData, "--to needs an absolute path without line breaks");
  if (!order.pages.empty() &&
      (order.pages.front() != '/' || order.pages.find('\n') != std::string::npos))
    return fail(ErrorCode::kBadData, "--pages needs an absolute path without line breaks");
  if (order.to.size() + order.pages.size() > kMaxPaths)
    return fail(ErrorCode::kBadData,
                fmt::format("--to and --pages are longer than {} bytes", kMaxPaths));
  auto format = parse_output_format(order.format);
  if (!format) return fail(std::move(format), "--format");
  if ((*format)->is_stream)
    return fail(ErrorCode::kBadData,
                fmt::format("--format: {} is for pipes; a capture is a file", order.format));
  if (auto codec = parse_codec(order.compress); !codec) return fail(std::move(codec), "--compress");
  // As release-region; the default is what nobody has chosen.
  const bool wants_codec = order.compress != "none" && order.compress != CaptureOrder().compress;
  if (wants_codec && !(*format)->is_compressed)
    return fail(ErrorCode::kBadData,
                fmt::format("--compress: the format {} is not compressed", order.format));
  if (auto levels = parse_levels(order.dump_level); !levels)
    return fail(std::move(levels), "--dump-level");
  return check_live_words(order);
}

}  // namespace hadump
