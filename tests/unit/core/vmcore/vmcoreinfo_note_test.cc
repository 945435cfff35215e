// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/vmcoreinfo_note.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace hadump {
namespace {

std::vector<std::byte> note_of(const std::string& text) {
  std::vector<std::byte> note(sizeof(Elf64_Nhdr) + 12 + round_up(text.size(), 4));
  const Elf64_Nhdr header{11, static_cast<Elf64_Word>(text.size()), 0};
  std::memcpy(note.data(), &header, sizeof(header));
  std::memcpy(note.data() + sizeof(header), "VMCOREINFO", 11);
  std::memcpy(note.data() + sizeof(header) + 12, text.data(), text.size());
  return note;
}

std::string text_with_time(const std::string& text, std::uint64_t crash_time) {
  const std::vector<std::byte> note = with_crash_time(note_of(text), crash_time);
  const auto checked = check_vmcoreinfo_note(note);
  EXPECT_TRUE(checked);
  EXPECT_EQ(checked ? checked->size() : 0, note.size());
  const auto bytes = text_of_vmcoreinfo_note(note);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Whatever its length is: the note's text is padded to four bytes.
TEST(VmcoreinfoNote, GetsTheTimeOfTheCrash) {
  for (std::string text = "OSRELEASE=6.1.0\n"; text.size() < 24; text.insert(text.size() - 1, "x"))
    EXPECT_EQ(text_with_time(text, 1763690000), text + "CRASHTIME=1763690000\n");
  EXPECT_EQ(text_with_time("OSRELEASE=6.1.0", 1763690000),
            "OSRELEASE=6.1.0\nCRASHTIME=1763690000\n");
  EXPECT_EQ(text_with_time(std::string("OSRELEASE=6.1.0\n\0\0", 18), 5),
            "OSRELEASE=6.1.0\nCRASHTIME=5\n");
}

TEST(VmcoreinfoNote, KeepsTheTimeThatTheKernelNoted) {
  const std::string text = "OSRELEASE=6.1.0\nCRASHTIME=7\n";
  EXPECT_EQ(text_with_time(text, 1763690000), text);
  EXPECT_EQ(text_with_time("OSRELEASE=6.1.0\nXCRASHTIME=7\n", 8),
            "OSRELEASE=6.1.0\nXCRASHTIME=7\nCRASHTIME=8\n");
}

TEST(VmcoreinfoNote, IsLeftAloneWhereThereIsNothingToSay) {
  EXPECT_TRUE(with_crash_time({}, 1763690000).empty());
  EXPECT_EQ(text_with_time("OSRELEASE=6.1.0\n", 0), "OSRELEASE=6.1.0\n");
  const std::string longest = "OSRELEASE=" + std::string(kMaxVmcoreinfoNoteBytes - 11, 'x') + "\n";
  EXPECT_EQ(text_with_time(longest, 1763690000), longest);
}

}  // namespace
}  // namespace hadump
