// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

/// The longest command line that Linux takes: x86's COMMAND_LINE_SIZE without the zero after it.
inline constexpr std::size_t kMaxCmdline = 2047;

/// What an admin wants of the window's command line, beyond what is done to every one.
struct CmdlinePolicy {
  std::string add;                ///< words, put at the end
  std::vector<std::string> drop;  ///< names, with '_' for '-'; these go, whatever else is said
  std::vector<std::string> keep;  ///< names of parameters that are not changed
};

/// Words for CmdlinePolicy::add. @return kBadData for a quote without its pair, a "--", or a
/// parameter that is hadumpd's own.
Result<std::string> parse_cmdline_words(std::string_view text);
/// Names with blanks between them, for CmdlinePolicy::drop. @return kBadData for what is no name.
Result<std::vector<std::string>> parse_cmdline_names(std::string_view text);
/// The same for CmdlinePolicy::keep. @return also kBadData for hadumpd's own.
Result<std::vector<std::string>> parse_kept_names(std::string_view text);

/// How large the window is beside the memory that the command line was written for; bytes.
struct WindowShare {
  std::uint64_t window;
  std::uint64_t memory;
};

/// A command line that fits into a window, and what is missing in it.
struct FittedCmdline {
  std::string text;
  std::string held;  ///< the value of hadump.held= (docs/abi/cmdline.md); empty: nothing
};

/// Does to a command line what the table of window_parameters.h and the policy say. What follows a
/// lone "--" stays as it is.
FittedCmdline fit_cmdline(std::string_view configured, WindowShare share,
                          const CmdlinePolicy& policy);

/// The fitted command line, and what the kernel in the window needs: at the end, but before a "--",
/// after which Linux leaves everything to init. If the whole is too long for Linux, it does not
/// tell what was held back: a rescue is worth more. For the same reason it does not ask for a
/// rescue boot then.
/// @param rescue_boot  the initramfs is asked to save the dump.
std::string window_cmdline(std::string_view configured, WindowShare share,
                           const CmdlinePolicy& policy, GuestPhys elf_header, GuestPhys node,
                           bool rescue_boot = false);

}  // namespace hadump
