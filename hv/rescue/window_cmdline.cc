// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/window_cmdline.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "core/abi/hadump_abi.h"
#include "hv/rescue/cmdline_words.h"
#include "hv/rescue/held_parameters.h"
#include "hv/rescue/kernel_number.h"
#include "hv/rescue/window_parameters.h"

namespace hadump {
namespace {

bool lists(const std::vector<std::string>& names, const std::string& name) {
  // A number of huge pages means nothing without its size.
  const auto same = [](const std::string& one) {
    return one == "hugepagesz" ? std::string("hugepages") : one;
  };
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& one) { return same(one) == same(name); });
}

bool is_ours(const std::string& name) {
  const WindowParameter* parameter = find_window_parameter(name, "");
  return parameter != nullptr && parameter->treatment == WindowTreatment::kReserved;
}

// @pre share.window <= share.memory, unless there is nothing to scale.
std::uint64_t scale(std::uint64_t value, WindowShare share) {
  // In MiB both are far from the limit of 64 bits.
  const std::uint64_t window = share.window >> 20;
  const std::uint64_t memory = share.memory >> 20;
  if (memory == 0 || window >= memory) return value;
  return value / memory * window + value % memory * window / memory;
}

// The word with a smaller number in it; nothing when it must go, because that is too large to be
// read. Without a number it takes no memory.
std::optional<std::string> scaled_word(const CmdlineWord& word, WindowUnit unit,
                                       WindowShare share) {
  if (word.value.empty() || word.value[0] < '0' || word.value[0] > '9')
    return std::string(word.text);
  const auto number = parse_kernel_number(word.value, unit == WindowUnit::kBytes);
  if (!number) return {};
  std::uint64_t small = scale(number->value, share);
  if (unit == WindowUnit::kBytes) small = std::bit_floor(small);
  if (small == number->value) return std::string(word.text);
  const std::string text = fmt::format("{}={}{}", word.name, small, number->rest);
  const bool blank = text.find_first_of(" \t\n\v\f\r\xa0") != std::string::npos;
  return blank ? '"' + text + '"' : text;
}

}  // namespace

Result<std::string> parse_cmdline_words(std::string_view text) {
  if (std::count(text.begin(), text.end(), '"') % 2 != 0)
    return fail(ErrorCode::kBadData, "a quote has no pair");
  const CmdlineParts parts = split_cmdline(text);
  if (!parts.rest.empty())
    return fail(ErrorCode::kBadData, "what follows a -- is for init, not for the kernel");
  for (const CmdlineWord& word : parts.words)
    if (is_ours(word.name))
      return fail(ErrorCode::kBadData, fmt::format("{} is set by hadumpd", word.text));
  return std::string(text);
}

Result<std::vector<std::string>> parse_cmdline_names(std::string_view text) {
  const CmdlineParts parts = split_cmdline(text);
  std::vector<std::string> names;
  for (const CmdlineWord& word : parts.words) {
    if (word.has_value || word.text.find('"') != std::string_view::npos)
      return fail(
          ErrorCode::kBadData,
          fmt::format("'{}' is not the name of a parameter; leave out '=' and quotes", word.text));
    names.push_back(word.name);
  }
  if (!parts.rest.empty()) return fail(ErrorCode::kBadData, "-- is not the name of a parameter");
  return names;
}

Result<std::vector<std::string>> parse_kept_names(std::string_view text) {
  auto names = parse_cmdline_names(text);
  if (!names) return names;
  for (const std::string& name : *names)
    if (is_ours(name))
      return fail(ErrorCode::kBadData,
                  fmt::format("{} cannot be kept: the dump would be lost", name));
  return names;
}

FittedCmdline fit_cmdline(std::string_view configured, WindowShare share,
                          const CmdlinePolicy& policy) {
  const CmdlineParts parts = split_cmdline(configured);
  FittedCmdline fitted;
  HeldParameters held;
  std::string& text = fitted.text;
  const auto put = [&](std::string_view blanks, std::string_view word) {
    if (!text.empty()) text += blanks;
    text += word;
  };
  for (const CmdlineWord& word : parts.words) {
    if (lists(policy.drop, word.name)) continue;
    const WindowParameter* parameter = find_window_parameter(word.name, word.value);
    const WindowTreatment treatment =
        parameter == nullptr ? WindowTreatment::kKept : parameter->treatment;
    if (treatment == WindowTreatment::kReserved) continue;
    const bool changes =
        treatment != WindowTreatment::kKept && word.has_value && !lists(policy.keep, word.name);
    held.see(word, changes && treatment == WindowTreatment::kHeldBack);
    if (!changes)
      put(word.blanks, word.text);
    else if (treatment == WindowTreatment::kScaled)
      if (const auto scaled = scaled_word(word, parameter->unit, share)) put(word.blanks, *scaled);
  }
  text += parts.blanks;
  if (!policy.add.empty()) {
    if (!text.empty() && text.back() != ' ') text += ' ';
    text += policy.add;
  }
  fitted.held = held.text();
  if (parts.rest.empty()) return fitted;
  if (!text.empty() && text.back() != ' ') text += ' ';
  text += parts.rest;
  return fitted;
}

std::string window_cmdline(std::string_view configured, WindowShare share,
                           const CmdlinePolicy& policy, GuestPhys elf_header, GuestPhys node,
                           bool rescue_boot) {
  const FittedCmdline fitted = fit_cmdline(configured, share, policy);
  // A block of memory that comes back holds its own struct pages, as after a normal boot: without
  // this they would have to fit into the window, and MemTotal would count them
  // (mm/memory_hotplug.c; kernels without the parameter ignore it).
  std::string ours = fmt::format("elfcorehdr={:#x} {}={:#x} memory_hotplug.memmap_on_memory=1",
                                 elf_header.value, HADUMP_PARAM_NODE, node.value);
  const auto add = [&](const std::string& word) {
    if (fitted.text.size() + ours.size() + word.size() + 3 <= kMaxCmdline) ours += ' ' + word;
  };
  if (rescue_boot) add(HADUMP_PARAM_RESCUE "=1");
  if (!fitted.held.empty()) add(fmt::format("{}={}", HADUMP_PARAM_HELD, fitted.held));

  const std::string_view rest = split_cmdline(fitted.text).rest;
  std::string text = fitted.text.substr(0, fitted.text.size() - rest.size());
  if (!text.empty() && text.back() != ' ') text += ' ';
  text += ours;
  if (!rest.empty()) text.append(" ").append(rest);
  return text;
}

}  // namespace hadump
