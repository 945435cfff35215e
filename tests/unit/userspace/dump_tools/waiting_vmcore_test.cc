// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of a dump that waits, where somebody takes it for a file.
#include "userspace/cli/waiting_vmcore.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/fakes/in_memory_vmcore.h"
#include "tests/unit/userspace/release_region/with_sysfs.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class WaitingVmcore : public WithSysfs {
 protected:
  WaitingVmcore() {
    write("vmcore", "the memory");
    write("dump", "a file");
  }
  std::optional<std::string> find(const std::string& file) const {
    return find_waiting_vmcore({dir_ / "dump", file}, places_);
  }
  WaitingPlaces places_{dir_ / "vmcore", root()};
};

TEST_F(WaitingVmcore, IsFoundByWhateverName) {
  std::filesystem::create_symlink("vmcore", dir_ / "link");
  for (const std::string& name : {dir_ / "vmcore", dir_ / "link", dir_ / "hadump/../vmcore"})
    EXPECT_EQ(find(name), name);
  EXPECT_EQ(find(dir_ / "none"), std::nullopt);
  EXPECT_EQ(find_waiting_vmcore({dir_ / "dump"}, places_), std::nullopt);
  const int before = ::dup(STDIN_FILENO);
  for (const char* name : {"vmcore", "dump"}) {
    const int file = ::open((dir_ / name).c_str(), O_RDONLY);
    ASSERT_EQ(::dup2(file, STDIN_FILENO), STDIN_FILENO);
    ::close(file);
    EXPECT_EQ(find("-").has_value(), std::string(name) == "vmcore") << name;
  }
  ::dup2(before, STDIN_FILENO);
  ::close(before);
  std::filesystem::remove(dir_ / "vmcore");
  EXPECT_EQ(find(dir_ / "vmcore"), std::nullopt);
}

// Another mount of proc is another file system, with the same files.
TEST_F(WaitingVmcore, IsFoundInAnotherMountOfProc) {
  places_.vmcore = "/proc/version";
  EXPECT_EQ(find("/proc/self/root/proc/version"), "/proc/self/root/proc/version");
  EXPECT_EQ(find("/proc/meminfo"), std::nullopt);
}

// /proc/vmcore of a kdump kernel is nobody's but its reader's.
TEST_F(WaitingVmcore, IsOneOfHadumpsOnly) {
  std::filesystem::remove(dir_ / "hadump/regions");
  EXPECT_EQ(find(dir_ / "vmcore"), std::nullopt);
}

TEST_F(WaitingVmcore, HasLostWhatIsReleased) {
  write("hadump/regions",
        "0x0 0x4000 window\n0x4000 0x8000 released\n0x8000 0xa000 partial\n"
        "0xa000 0x10000 held\n");
  const auto look = [&](const std::string& file, std::string& warning) {
    return without_released(std::make_unique<InMemoryVmcore>(FrameSet{{Gfn{0}, Gfn{16}}}), {file},
                            warning, places_);
  };
  std::string warning;
  auto source = look(dir_ / "vmcore", warning);
  ASSERT_TRUE(source) << source.error().what();
  EXPECT_THAT(warning, HasSubstr("24 KiB of " + (dir_ / "vmcore") + " was released"));
  EXPECT_TRUE((*source)->layout().incomplete);
  EXPECT_EQ((*source)->layout().lost, (FrameSet{{Gfn{4}, Gfn{10}}}));
  std::vector<std::byte> pages(16 * kFrameSize);
  std::vector<FrameStatus> status(16);
  ASSERT_TRUE((*source)->read(Gfn{0}, pages, status));
  for (std::size_t i = 0; i < status.size(); ++i)
    EXPECT_EQ(status[i] == FrameStatus::kFailed, i >= 4 && i < 10) << i;

  warning.clear();
  source = look(dir_ / "dump", warning);
  ASSERT_TRUE(source);
  EXPECT_FALSE((*source)->layout().incomplete);
  write("hadump/regions", "0x0 0x4000 window\n0x4000 0x10000 held\n");
  source = look(dir_ / "vmcore", warning);
  ASSERT_TRUE(source);
  EXPECT_FALSE((*source)->layout().incomplete);
  EXPECT_THAT(warning, IsEmpty());
  write("hadump/regions", "nonsense\n");
  EXPECT_FALSE(look(dir_ / "vmcore", warning)) << "nobody can tell";
}

}  // namespace
}  // namespace hadump
