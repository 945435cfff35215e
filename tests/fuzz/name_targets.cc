// SPDX-License-Identifier: GPL-2.0-or-later
// What names a dump's directory: a host's name, which anybody may have chosen, and a time.
#include <algorithm>
#include <cctype>
#include <string_view>

#include "core/save/target.h"
#include "tests/fuzz/targets.h"

namespace hadump {
namespace {

/// Two lines: the host, the crash time.
void name_dump(std::span<const std::byte> input) {
  const std::string_view text{reinterpret_cast<const char*>(input.data()), input.size()};
  DumpName name{"", 0, "00112233445566778899aabbccddeeff"};
  name.host = text.substr(0, text.find('\n'));
  constexpr std::size_t kDigits = 19;
  for (const char c : text.substr(std::min(text.size(), name.host.size() + 1)).substr(0, kDigits))
    if (std::isdigit(static_cast<unsigned char>(c)) != 0)
      name.crash_time = name.crash_time * 10 + static_cast<std::uint64_t>(c - '0');
  const std::string directory = dump_directory_name(name);
  fuzz_require(!directory.empty() && directory.front() != '.', "a dump has a name that is listed");
  for (const char c : directory)
    fuzz_require(c > ' ' && c < 0x7F && c != '/', "a dump's name leads nowhere else");
  fuzz_require(dump_directory_name(name) == directory, "a dump has one name");
}

std::vector<std::vector<std::byte>> name_seeds() {
  return {bytes_of_text("db1.example.org\n1735689600"), bytes_of_text("../../etc/passwd\n0"),
          bytes_of_text("\n9999999999999999999")};
}

}  // namespace

const FuzzTarget kFuzzDumpName = {"dump_name", name_dump, name_seeds};

}  // namespace hadump
