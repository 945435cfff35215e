// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/cmdline_words.h"

#include <algorithm>

namespace hadump {
namespace {

// What Linux' isspace() takes for one.
constexpr std::string_view kBlanks = " \t\n\v\f\r\xa0";

bool is_blank(char c) {
  return kBlanks.find(c) != std::string_view::npos;
}

// @param text  without blanks outside of quotes, and not empty.
CmdlineWord take_apart(std::string_view blanks, std::string_view text) {
  CmdlineWord word{.blanks = blanks, .text = text, .name = {}, .value = {}};
  std::string_view body = text;
  const bool quoted = body.front() == '"';
  if (quoted) body.remove_prefix(1);
  bool closed = false;  // the last quote has been taken off
  const auto take_last_quote = [&] {
    if (closed || body.empty() || body.back() != '"') return;
    body.remove_suffix(1);
    closed = true;
  };
  std::size_t equals = body.find('=');
  if (equals == 0) equals = body.find('=', 1);  // a name has at least one character
  if (equals == std::string_view::npos) {
    if (quoted) take_last_quote();
    word.name = body;
  } else {
    word.has_value = true;
    const bool value_quoted = body.size() > equals + 1 && body[equals + 1] == '"';
    if ((value_quoted && body.size() > equals + 2) || (quoted && body.size() > equals + 1))
      take_last_quote();
    word.name = body.substr(0, equals);
    word.value = body.substr(equals + 1);
    if (value_quoted && word.value.starts_with('"')) word.value.erase(0, 1);
  }
  std::replace(word.name.begin(), word.name.end(), '-', '_');
  return word;
}

}  // namespace

CmdlineParts split_cmdline(std::string_view cmdline) {
  CmdlineParts parts;
  std::size_t at = 0;
  for (;;) {
    const std::size_t blanks_at = at;
    while (at < cmdline.size() && is_blank(cmdline[at])) ++at;
    const std::string_view blanks = cmdline.substr(blanks_at, at - blanks_at);
    const std::size_t begin = at;
    for (bool quoted = false; at < cmdline.size(); ++at) {
      if (cmdline[at] == '"') quoted = !quoted;
      if (!quoted && is_blank(cmdline[at])) break;
    }
    const std::string_view text = cmdline.substr(begin, at - begin);
    // Linux does not miss a quote that nothing closes.
    if (text.empty() || text == "--" || text == "\"--\"" || text == "\"--") {
      parts.blanks = blanks;
      parts.rest = cmdline.substr(begin);
      return parts;
    }
    parts.words.push_back(take_apart(blanks, text));
  }
}

}  // namespace hadump
