// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/codec_governor.h"

#include <array>
#include <string_view>

namespace hadump {
namespace {

constexpr std::array<std::string_view, 5> kLadder{"lzo", "zstd:-5", "zstd:-1", "zstd:1", "zstd:3"};

}  // namespace

const std::vector<CodecChoice>& CodecGovernor::ladder() {
  static const std::vector<CodecChoice> choices = [] {
    std::vector<CodecChoice> parsed;
    for (std::string_view text : kLadder) parsed.push_back(*parse_codec(text));
    return parsed;
  }();
  return choices;
}

std::uint32_t CodecGovernor::flags() {
  std::uint32_t all = 0;
  for (const CodecChoice& choice : ladder()) all |= choice.codec->flag;
  return all;
}

}  // namespace hadump
