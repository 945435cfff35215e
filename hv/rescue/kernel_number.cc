// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/kernel_number.h"

#include <cctype>
#include <charconv>
#include <limits>

namespace hadump {

std::optional<KernelNumber> parse_kernel_number(std::string_view text, bool with_unit) {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') &&
      std::isxdigit(static_cast<unsigned char>(text[2])) != 0) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;  // the 0 is a digit of it
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  constexpr std::string_view kUnits = "KMGTPE";
  if (with_unit && !text.empty()) {
    const auto unit =
        kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text.front()))));
    if (unit != std::string_view::npos) {
      const unsigned shift = 10 * (static_cast<unsigned>(unit) + 1);
      if (value > std::numeric_limits<std::uint64_t>::max() >> shift) return {};
      value <<= shift;
      text.remove_prefix(1);
    }
  }
  return KernelNumber{value, text};
}

}  // namespace hadump
