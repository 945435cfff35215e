// SPDX-License-Identifier: GPL-2.0-or-later
// Files that people take for dumps.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstring>

#include "core/base/file.h"
#include "core/vmcore/noted_vmcore.h"
#include "core/vmcore/open.h"
#include "tests/fakes/in_memory_vmcore.h"
#include "tests/unit/core/vmcore/elf_builder.h"

namespace hadump {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view content) {
  const auto bytes = std::as_bytes(std::span(content));
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(std::vector<std::byte>(bytes.begin(), bytes.end())));
  const auto source = open_vmcore(std::move(files));
  return source ? "opened" : source.error().what();
}

TEST(ForeignFile, IsNamedWithTheWayToADump) {
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("\x1f\x8b\x08\0"sv), HasSubstr("gunzip"));
  EXPECT_THAT(refusal("\x28\xb5\x2f\xfd\0"sv), HasSubstr("unzstd"));
  EXPECT_THAT(refusal("LibvirtQemudSave\x02"), HasSubstr("virsh dump --memory-only"));
  EXPECT_THAT(refusal("Xl saved domain"), HasSubstr("xl dump-core"));
  EXPECT_THAT(refusal("no dump"), HasSubstr("neither an ELF core nor"));
}

TEST(ForeignFile, IsAPipeOrADirectoryWithoutBeingOpened) {
  const std::string path = testing::TempDir() + "hadump-pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(open_vmcore(path).error().what(), HasSubstr("a pipe"));
  ::unlink(path.c_str());
  EXPECT_THAT(open_vmcore(testing::TempDir()).error().what(), HasSubstr("a directory"));
}

constexpr const char* kText = "OSRELEASE=6.1\nPAGESIZE=4096\n";

std::unique_ptr<InMemoryVmcore> machine_with_note_at(Gfn gfn) {
  auto machine = std::make_unique<InMemoryVmcore>(FrameSet{{Gfn{16}, Gfn{400}}});
  machine->put(address_of(gfn), encode_note("VMCOREINFO", 0, kText));
  return machine;
}

TEST(Vmcoreinfo, IsFoundInTheMemoryOfADumpWithoutIt) {
  for (const std::uint64_t gfn : {16U, 200U, 399U}) {
    const auto source = with_found_vmcoreinfo(machine_with_note_at(Gfn{gfn}));
    ASSERT_TRUE(source) << source.error().what();
    EXPECT_EQ(vmcoreinfo_text((*source)->layout()), kText) << gfn;
  }
}

TEST(Vmcoreinfo, IsNotSearchedForWhereADumpHasIt) {
  auto machine = machine_with_note_at(Gfn{16});
  machine->set_vmcoreinfo("OSRELEASE=7.0\n").fail_next_read(EIO);
  const auto source = with_found_vmcoreinfo(std::move(machine));
  ASSERT_TRUE(source) << source.error().what();
  EXPECT_EQ(vmcoreinfo_text((*source)->layout()), "OSRELEASE=7.0\n");
}

TEST(Vmcoreinfo, FromOutsideReplacesTheDumps) {
  auto machine = machine_with_note_at(Gfn{16});
  machine->set_vmcoreinfo("OSRELEASE=7.0\n");
  const auto source = with_vmcoreinfo(std::move(machine), "OSRELEASE=8.0\n");
  ASSERT_TRUE(source);
  EXPECT_EQ(vmcoreinfo_text((*source)->layout()), "OSRELEASE=8.0\n");
  EXPECT_FALSE(with_vmcoreinfo(machine_with_note_at(Gfn{16}), "not a VMCOREINFO"));
}

}  // namespace
}  // namespace hadump
