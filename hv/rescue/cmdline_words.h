// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadump {

/// One word of a kernel command line, as Linux takes it apart (lib/cmdline.c, next_arg()): a blank
/// inside double quotes is part of the word, and quotes around word or value are not.
struct CmdlineWord {
  std::string_view blanks;  ///< before it
  std::string_view text;    ///< as it is written
  std::string name;         ///< without quotes, with '_' for each '-': Linux takes them as equal
  std::string value;        ///< without quotes
  bool has_value = false;   ///< there is a '=', though perhaps nothing after it
};

/// A command line in pieces, which point into the text that was split. All of it is there: the
/// words with their blanks, `blanks`, and `rest`.
struct CmdlineParts {
  std::vector<CmdlineWord> words;
  std::string_view blanks;  ///< after the last word
  std::string_view rest;    ///< from a lone "--", quoted or not, on: Linux leaves that to init
};
CmdlineParts split_cmdline(std::string_view cmdline);

}  // namespace hadump
