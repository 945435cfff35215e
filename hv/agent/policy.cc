// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/policy.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "core/codec/codec.h"
#include "core/dump/dump_levels.h"
#include "core/dump/output_format.h"
#include "hv/domain/domid.h"

namespace hadump {
namespace {

constexpr std::string_view kHostSection = "host";
constexpr std::string_view kDomainSection = "domain ";
constexpr std::uint64_t kMaxCrashLimit = 1000;  // all of them are remembered and written down
constexpr std::uint64_t kMaxSeconds = 366ULL * 86400;
constexpr std::uint64_t kMaxStreamFiles = 10'000;  // they are counted when a stream begins

Result<bool> parse_switch(const std::string& text) {
  for (const char* yes : {"yes", "on", "true", "1"})
    if (text == yes) return true;
  for (const char* no : {"no", "off", "false", "0"})
    if (text == no) return false;
  return fail(ErrorCode::kBadData, fmt::format("'{}' is neither yes nor no", text));
}

// Assigns what a parser gives; passes its failure on.
template <typename T, typename Value>
Result<> assign(T& target, Result<Value>&& value) {
  if (!value) return fail(std::move(value));
  target = static_cast<T>(*value);
  return {};
}

Result<std::uint64_t> parse_at_most(const std::string& text, std::uint64_t limit) {
  auto number = parse_decimal(text);
  if (number && *number > limit)
    return fail(ErrorCode::kBadData, fmt::format("{} is more than {}", text, limit));
  return number;
}

Result<std::chrono::seconds> parse_seconds(const std::string& text) {
  return parse_at_most(text, kMaxSeconds).map([](std::uint64_t n) {
    return std::chrono::seconds(n);
  });
}

Result<std::string> parse_path(const std::string& text) {
  if (text.empty() || text.front() == '/') return text;
  return fail(ErrorCode::kBadData, fmt::format("'{}' is not an absolute path", text));
}

Result<std::uint64_t> parse_window(const std::string& text) {
  auto bytes = parse_size(text);
  if (bytes && (*bytes < HADUMP_MIN_WINDOW || !is_aligned(*bytes, HADUMP_BLOCK_SIZE)))
    return fail(ErrorCode::kBadData, fmt::format("a window of {} is not a multiple of {}", text,
                                                 format_size(HADUMP_BLOCK_SIZE)));
  return bytes;
}

Result<> apply_window(const std::string& value, DomainPolicy& policy) {
  policy.window_auto = value == "auto";
  return policy.window_auto ? Result<>() : assign(policy.window_bytes, parse_window(value));
}

Result<OnCrash> parse_on_crash(const std::string& text) {
  if (text == "reboot-in-place") return OnCrash::kRebootInPlace;
  if (text == "capture") return OnCrash::kCapture;
  if (text == "auto") return OnCrash::kAuto;
  return fail(ErrorCode::kBadData,
              fmt::format("'{}' is not reboot-in-place, capture or auto", text));
}

// The modes of hv/capture that a crash may choose; the decisions do not reach that table.
Result<std::string> parse_capture_mode(const std::string& text) {
  for (const char* mode : {"alias", "copy", "auto"})
    if (text == mode) return text;
  return fail(ErrorCode::kBadData, fmt::format("'{}' is not alias, copy or auto", text));
}

Result<std::string> parse_target(const std::string& text) {
  if (text.empty()) return fail(ErrorCode::kBadData, "a path is needed");
  return parse_path(text);
}

// The word itself, where it makes sense.
template <typename Value>
Result<std::string> word(const std::string& text, Result<Value>&& parsed) {
  if (!parsed) return fail(std::move(parsed));
  return text;
}

Result<std::string> parse_file_format(const std::string& text) {
  auto format = parse_output_format(text);
  if (format && (*format)->is_stream)
    return fail(ErrorCode::kBadData, fmt::format("{} is for pipes", text));
  return word(text, std::move(format));
}

Result<> apply_capture(const std::string& key, const std::string& value, CapturePolicy& policy) {
  if (key == "mode") return assign(policy.mode, parse_capture_mode(value));
  if (key == "to") return assign(policy.to, parse_target(value));
  if (key == "format") return assign(policy.format, parse_file_format(value));
  if (key == "compress") return assign(policy.compress, word(value, parse_codec(value)));
  if (key == "dump-level") return assign(policy.dump_level, word(value, parse_levels(value)));
  return fail(ErrorCode::kBadData, fmt::format("unknown key 'capture-{}'", key));
}

Result<> apply_window_cmdline(const std::string& key, const std::string& value,
                              CmdlinePolicy& policy) {
  if (key == "add") return assign(policy.add, parse_cmdline_words(value));
  if (key == "drop") return assign(policy.drop, parse_cmdline_names(value));
  if (key == "keep") return assign(policy.keep, parse_kept_names(value));
  return fail(ErrorCode::kBadData, fmt::format("unknown key 'window-cmdline-{}'", key));
}

Result<> apply_stream(const std::string& key, const std::string& value, StreamPolicy& policy) {
  if (key == "stream") return assign(policy.allowed, parse_switch(value));
  if (key == "stream-max-size") return assign(policy.max_bytes, parse_size(value));
  if (key == "stream-max-count")
    return assign(policy.max_files, parse_at_most(value, kMaxStreamFiles));
  return fail(ErrorCode::kBadData, fmt::format("unknown key '{}'", key));
}

}  // namespace

Result<> PolicyTable::apply(const Rule& rule, DomainPolicy& policy) {
  constexpr std::string_view kCapture = "capture-";
  if (rule.key.starts_with("stream")) return apply_stream(rule.key, rule.value, policy.stream);
  if (rule.key.starts_with(kCapture))
    return apply_capture(rule.key.substr(kCapture.size()), rule.value, policy.capture);
  constexpr std::string_view kWindowCmdline = "window-cmdline-";
  if (rule.key.starts_with(kWindowCmdline))
    return apply_window_cmdline(rule.key.substr(kWindowCmdline.size()), rule.value,
                                policy.window_cmdline);
  if (rule.key == "on-crash") return assign(policy.on_crash, parse_on_crash(rule.value));
  if (rule.key == "enabled") return assign(policy.enabled, parse_switch(rule.value));
  if (rule.key == "window") return apply_window(rule.value, policy);
  if (rule.key == "window-max") return assign(policy.window_max, parse_window(rule.value));
  if (rule.key == "save-area") return assign(policy.save_area, parse_save_mode(rule.value));
  if (rule.key == "max-crashes")
    return assign(policy.max_crashes, parse_at_most(rule.value, kMaxCrashLimit));
  if (rule.key == "crash-period") return assign(policy.crash_period, parse_seconds(rule.value));
  if (rule.key == "backend-timeout")
    return assign(policy.backend_timeout, parse_seconds(rule.value));
  if (rule.key == "on-window-failure")
    return assign(policy.on_window_failure, parse_on_window_failure(rule.value));
  if (rule.key == "window-boot-timeout")
    return assign(policy.window_boot_timeout, parse_seconds(rule.value));
  if (rule.key == "kernel") return assign(policy.kernel, parse_path(rule.value));
  if (rule.key == "ramdisk") return assign(policy.ramdisk, parse_path(rule.value));
  if (rule.key == "cmdline") {
    policy.cmdline = rule.value;
    return {};
  }
  return fail(ErrorCode::kBadData, fmt::format("unknown key '{}'", rule.key));
}

Result<> PolicyTable::apply(const Rule& rule, HostLimits& limits) {
  if (rule.key == "keep-free") return assign(limits.keep_free_bytes, parse_size(rule.value));
  if (rule.key == "max-save-areas")
    return assign(limits.max_save_areas, parse_at_most(rule.value, kMaxDomid));
  if (rule.key == "max-save-memory") return assign(limits.max_save_bytes, parse_size(rule.value));
  return fail(ErrorCode::kBadData, fmt::format("unknown key '{}'", rule.key));
}

Result<> PolicyTable::add(const std::string& section, const std::string& key,
                          const std::string& value) {
  if (section == "cores") {
    if (auto done = cores_.set(key, value); !done)
      return fail(std::move(done), fmt::format("[cores] {}", key));
    return {};
  }
  if (section == "captures") {
    if (auto done = captures_.set(key, value); !done)
      return fail(std::move(done), fmt::format("[captures] {}", key));
    return {};
  }
  if (section == "streams") {
    if (auto done = streams_.set(key, value); !done)
      return fail(std::move(done), fmt::format("[streams] {}", key));
    return {};
  }
  Rule rule{"*", key, value};
  if (section == kHostSection) {
    if (auto done = apply(rule, host_); !done)
      return fail(std::move(done), fmt::format("[{}] {}", section, key));
    return {};
  }
  if (section.starts_with(kDomainSection))
    rule.pattern = section.substr(kDomainSection.size());
  else if (section != "default")
    return fail(
        ErrorCode::kBadData,
        fmt::format("section [{}] is not [default], [domain NAME], [host], [cores], [captures] or "
                    "[streams]",
                    section));
  DomainPolicy scratch;
  if (auto done = apply(rule, scratch); !done)
    return fail(std::move(done), fmt::format("[{}] {}", section, key));
  rules_.push_back(std::move(rule));
  return {};
}

std::vector<std::string> PolicyTable::patterns() const {
  std::vector<std::string> patterns;
  for (const Rule& rule : rules_) patterns.push_back(rule.pattern);
  return patterns;
}

DomainPolicy PolicyTable::for_domain(const std::string& name) const {
  DomainPolicy policy;
  for (const bool general : {true, false})
    for (const Rule& rule : rules_)
      if ((rule.pattern == "*") == general && fnmatch(rule.pattern.c_str(), name.c_str(), 0) == 0)
        static_cast<void>(apply(rule, policy));  // add() has tried it
  return policy;
}

}  // namespace hadump
