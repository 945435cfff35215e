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

}  // namespace

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
  std::string classes;
  for (std::size_t i = 0; i < kPageClasses; ++i)
    classes +=
        fmt::format("{}\"{}\":{}", i == 0 ? "" : ",", kClassKeys[i], dump.frames_by_class[i]);
  const auto left = dump.remaining();
  return fmt::format(
      "{{\"phase\":\"{}\",\"pages_total\":{},\"pages_done\":{},\"pages_durable\":{},"
      "\"pages_left_out\":{},\"pages_missing\":{},\"pages_absent\":{},\"pages_unclassified\":{},"
      "\"pages_unknown\":{},\"pages_by_class\":{{{}}},\"bytes_read\":{},"
      "\"bytes_written\":{},\"bytes_released\":{},\"bytes_held\":{},\"seconds\":{:.3f},"
      "\"bytes_per_second\":{:.0f},\"seconds_left\":{}}}",
      progress.phase, dump.frames_total, dump.frames_done, dump.frames_durable,
      dump.frames_left_out, dump.frames_missing, dump.frames_absent, dump.frames_unclassified,
      progress.kept_unknown, classes, dump.bytes_read, dump.bytes_written, progress.bytes_released,
      progress.bytes_held, std::chrono::duration<double>(dump.elapsed).count(),
      dump.bytes_per_second(), left ? std::to_string(left->count()) : "null");
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
