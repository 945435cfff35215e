// SPDX-License-Identifier: GPL-2.0-or-later
// Names: of a dump's directory, after a host's name that anybody may have chosen; of targets, as
// users type them; and of files in an earlier save's journal.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "core/save/earlier_save.h"
#include "core/save/target.h"
#include "tests/fuzz/scratch.h"
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

/// What a user writes after --to, a line each. Nothing is written.
void name_target(std::span<const std::byte> input) {
  const std::string_view text{reinterpret_cast<const char*>(input.data()), input.size()};
  static_cast<void>(check_target({std::string(text)}, {true, true}));
  const std::string name(text.substr(0, text.find('\n')));
  if (check_target({name}, {})) fuzz_require(!name.empty(), "a target has a name");
  if (name.empty() || name.find('\0') != std::string::npos) return;
  const std::string journal = journal_of(name);
  fuzz_require(journal.starts_with('/') && journal.ends_with(".hadump-journal"),
               "a journal has an absolute path and its own name");
  fuzz_require(journal_of(journal) == journal, "a journal is its own");
}

std::vector<std::vector<std::byte>> target_seeds() {
  return {bytes_of_text("/var/crash/"), bytes_of_text("root@backup:/var/crash"),
          bytes_of_text("/a/../b/./vmcore-incomplete.3\n-"), bytes_of_text("-"),
          bytes_of_text("/dev/null\n/proc/self/root/dev/shm/x")};
}

constexpr std::string_view kHere = "/HERE/";

/// The input is the journal of a partial dump "d/x"; "/HERE/" in it stands for its directory, "d/"
/// included. Beside it is the partial file, and above it one of somebody else's.
void find_earlier_saves(std::span<const std::byte> input) {
  namespace fs = std::filesystem;
  static const Scratch scratch;
  static const HeldFile journal = [] {
    fs::create_directory(scratch.path() + "/d");
    return Scratch::held(scratch.path() + "/d/.x.hadump-journal");
  }();
  static const std::string other = scratch.put("passwd", bytes_of_text("precious"));
  scratch.put("d/x-incomplete", {});
  std::string text{reinterpret_cast<const char*>(input.data()), input.size()};
  for (std::size_t at = 0; (at = text.find(kHere, at)) != std::string::npos;)
    text.replace(at, kHere.size(), scratch.path() + "/d/");
  scratch.put("d/.x.hadump-journal", bytes_of_text(text));
  const auto saves = read_earlier_saves(journal, "id");
  fuzz_require(fs::exists(other) && fs::file_size(other) == 8, "other files are left alone");
  if (!saves) return;
  for (const EarlierSave& save : *saves) {
    fuzz_require(save.content.dump_id == "id", "a save is of this dump");
    fuzz_require(save.files.size() == save.finals.size(), "every file has a final name");
    if (save.content.published)
      fuzz_require(save.content.frames.intersection(save.content.durable) == save.content.frames,
                   "a complete dump is durable");
  }
}

std::vector<std::vector<std::byte>> earlier_seeds() {
  const std::string head = "hadump-journal 1\ndump id\nsettings s\n";
  const std::string body = "frames 0x0 0x10\nbegin\nlevel 0\ndurable 0x0 0x10\n";
  return {bytes_of_text(head + "file /HERE/x-incomplete\nfinal /HERE/x\n" + body),
          bytes_of_text(head + "file /old place/x-incomplete\nfinal /old place/x\n" + body),
          bytes_of_text(head + "with /HERE/.x.hadump-journal.1\nwith /HERE/.x.hadump-journal\n" +
                        "file /HERE/x-incomplete.1\nfinal /HERE/x\n" + body + "published\n"),
          bytes_of_text(head + "file /HERE/x-incomplete\nfile /HERE/y-incomplete\nfinal /HERE/x\n" +
                        "final /HERE/y\n" + body),
          bytes_of_text(head + "file /HERE/x-incomplete\nfile /HERE/../passwd-incomplete\n" +
                        "final /HERE/x\nfinal /HERE/../passwd\n" + body)};
}

}  // namespace

const FuzzTarget kFuzzDumpName = {"dump_name", name_dump, name_seeds};
const FuzzTarget kFuzzTargetName = {"target_name", name_target, target_seeds};
const FuzzTarget kFuzzEarlierSaves = {"earlier_saves", find_earlier_saves, earlier_seeds};

}  // namespace hadump
