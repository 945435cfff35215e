// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hadump {
namespace {

constexpr std::string_view kNone = "none";
constexpr std::string_view kAuto = "auto";
constexpr int kDefaultLevel = 1;

Result<> check_level(const Codec& codec, int level) {
  if (level == 0 || (codec.has_levels() && codec.min_level <= level && level <= codec.max_level))
    return {};
  return fail(ErrorCode::kBadData, fmt::format("{} has no level {}", codec.name, level));
}

}  // namespace

const Codec* find_codec(std::string_view name) {
  const auto rows = codecs();
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const Codec& codec) { return codec.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

Result<CodecChoice> parse_codec(std::string_view text) {
  if (text == kNone) return CodecChoice{};
  if (text == kAuto) return CodecChoice{nullptr, 0, true};
  const std::size_t colon = text.find(':');
  CodecChoice choice{find_codec(text.substr(0, colon)), 0, false};
  if (choice.codec == nullptr)
    return fail(ErrorCode::kBadData, fmt::format("invalid codec '{}'; use {}", text, codec_help()));
  if (colon == std::string_view::npos) return choice;
  const std::string_view level = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(level.data(), level.data() + level.size(), choice.level);
  if (error != std::errc{} || end != level.data() + level.size() || choice.level == 0)
    return fail(ErrorCode::kBadData, fmt::format("invalid compression level '{}'", level));
  if (auto checked = check_level(*choice.codec, choice.level); !checked)
    return fail(std::move(checked));
  return choice;
}

std::string_view name_of(CodecChoice choice) {
  return choice.codec != nullptr ? choice.codec->name : choice.is_automatic ? kAuto : kNone;
}

std::string codec_help(bool with_auto) {
  std::string names{kNone};
  std::string levels;
  for (const Codec& codec : codecs()) {
    const bool last = !with_auto && &codec == &codecs().back();
    names += fmt::format("{}{}", last ? " or " : ", ", codec.name);
    if (codec.has_levels())
      levels += fmt::format("{}{}:{} to {}", levels.empty() ? "" : ", ", codec.name,
                            codec.min_level, codec.max_level);
  }
  if (with_auto) names += fmt::format(" or {}", kAuto);
  return fmt::format("{}; with a level: {}", names, levels);
}

Result<std::unique_ptr<PageCompressor>> make_compressor(CodecChoice choice) {
  if (auto checked = check_level(*choice.codec, choice.level); !checked)
    return fail(std::move(checked));
  return choice.codec->open_compressor(choice.level == 0 ? kDefaultLevel : choice.level);
}

}  // namespace hadump
