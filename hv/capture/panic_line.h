// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace hadump {

/// The line of a kernel's log that says why it died, without its time: the last panic; without one,
/// the first line of the last BUG or oops. Cut to a length that fits a status line.
/// @param log  as kernel_log() gives it: printable, lines "[    1.234567] text".
/// @return empty when there is none.
std::string find_panic_line(std::string_view log);

}  // namespace hadump
