// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/progress_reporter.h"

#include <fmt/format.h>

#include "core/base/text.h"

namespace hadump {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHostInterval{1000};

std::uint64_t percent_done(const DumpProgress& dump) {
  return dump.frames_total == 0 ? 0 : dump.frames_done * 100 / dump.frames_total;
}

std::string duration_text(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds >= 3600)
    return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
}

constexpr std::array<const char*, kPageClasses> kClassKeys{
    "kept", "zero", "cache", "private_cache", "user", "free", "hwpoison", "offline"};

}  // namespace

Json classes_json(const std::array<std::uint64_t, kPageClasses>& frames) {
  Json json = Json::object();
  for (std::size_t i = 0; i < kPageClasses; ++i) json[kClassKeys[i]] = frames[i];
  return json;
}

Result<ProgressMode> parse_progress_mode(std::string_view text) {
  if (text == "auto") return ProgressMode::kAuto;
  if (text == "plain") return ProgressMode::kPlain;
  if (text == "json") return ProgressMode::kJson;
  if (text == "none") return ProgressMode::kNone;
  return fail(ErrorCode::kBadData,
              fmt::format("invalid progress mode '{}'; use auto, plain, json or none", text));
}

std::string progress_line(const SaveProgress& progress) {
  const DumpProgress& dump = progress.dump;
  std::string line =
      fmt::format("{} {:3}% of {}, {} written, {} released", progress.phase, percent_done(dump),
                  format_size(dump.frames_total << kFrameShift), format_size(dump.bytes_written),
                  format_size(progress.bytes_released));
  if (dump.bytes_per_second() > 0)
    line += fmt::format(", {}/s", format_size(static_cast<std::uint64_t>(dump.bytes_per_second())));
  if (auto left = dump.remaining(); left && left->count() > 0)
    line += fmt::format(", {} left", duration_text(*left));
  return line;
}

std::string progress_json(const SaveProgress& progress) {
  const DumpProgress& dump = progress.dump;
  Json json;
  json["phase"] = progress.phase;
  json["pages_total"] = dump.frames_total;
  json["pages_done"] = dump.frames_done;
  json["pages_durable"] = dump.frames_durable;
  json["pages_left_out"] = dump.frames_left_out;
  json["pages_missing"] = dump.frames_missing;
  json["pages_absent"] = dump.frames_absent;
  json["pages_unclassified"] = dump.frames_unclassified;
  json["pages_unknown"] = progress.kept_unknown;
  json["pages_by_class"] = classes_json(dump.frames_by_class);
  json["bytes_read"] = dump.bytes_read;
  json["bytes_written"] = dump.bytes_written;
  json["bytes_released"] = progress.bytes_released;
  json["bytes_held"] = progress.bytes_held;
  json["seconds"] =
      static_cast<double>(std::chrono::duration_cast<milliseconds>(dump.elapsed).count()) / 1000;
  json["bytes_per_second"] = static_cast<std::uint64_t>(dump.bytes_per_second());
  const auto left = dump.remaining();
  json["seconds_left"] = left ? Json(left->count()) : Json();
  return json_text(json);
}

ProgressReporter::ProgressReporter(ProgressMode mode, std::ostream& out, bool terminal,
                                   const Clock& clock,
                                   std::function<void(const std::string&)> to_host)
    : style_(mode == ProgressMode::kNone               ? Style::kNone
             : mode == ProgressMode::kJson             ? Style::kJson
             : mode == ProgressMode::kAuto && terminal ? Style::kTerminal
                                                       : Style::kPlain),
      out_(out),
      clock_(clock),
      to_host_(std::move(to_host)),
      next_show_(clock.now()),
      next_host_(clock.now()) {}

void ProgressReporter::show(const SaveProgress& progress) {
  switch (style_) {
    case Style::kTerminal:
      // Clear to the end of the line: the new text may be shorter.
      out_ << '\r' << progress_line(progress) << "\x1b[K" << std::flush;
      return;
    case Style::kPlain:
      out_ << progress_line(progress) << std::endl;
      return;
    case Style::kJson:
      out_ << progress_json(progress) << std::endl;
      return;
    case Style::kNone:
      return;
  }
}

void ProgressReporter::update(const SaveProgress& progress) {
  const milliseconds now = clock_.now();
  if (now >= next_show_) {
    next_show_ = now + (style_ == Style::kTerminal ? milliseconds(100)
                        : style_ == Style::kJson   ? milliseconds(1000)
                                                   : milliseconds(5000));
    show(progress);
  }
  if (to_host_ && now >= next_host_) {
    next_host_ = now + kHostInterval;
    to_host_(progress_line(progress));
  }
}

void ProgressReporter::finish(const SaveProgress& progress) {
  show(progress);
  if (style_ == Style::kTerminal) out_ << std::endl;
  if (to_host_) to_host_(progress_line(progress));
}

}  // namespace hadump
