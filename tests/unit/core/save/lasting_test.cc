// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/lasting.h"

#include <gmock/gmock.h>
#include <linux/magic.h>

#include <cerrno>
#include <map>

namespace hadump {
namespace {

using testing::HasSubstr;

class FakeFileSystems : public FileSystems {
 public:
  Result<std::uint64_t> type(const std::string& directory) const override {
    const auto found = types.find(directory);
    if (found == types.end()) return fail_os(ENOENT, directory);
    return found->second;
  }
  Result<std::string> mounts() const override { return text; }

  std::map<std::string, std::uint64_t> types;
  std::string text;
};

std::string reason(const FakeFileSystems& systems, const std::string& directory) {
  const auto lasting = check_lasting(directory, systems);
  return lasting ? "" : lasting.error().what();
}

// A save would release memory for a dump that the next boot does not have.
TEST(Lasting, IsNothingInMemory) {
  FakeFileSystems systems;
  systems.types = {{"/run/dump", TMPFS_MAGIC},   {"/initramfs", RAMFS_MAGIC},
                   {"/var/crash", 0xef53},       {"/mnt/nfs", NFS_SUPER_MAGIC},
                   {"/mnt/xfs", 0x58465342},     {"/mnt/zram", 0xef53},
                   {"/tmp/dumps", 0xef53},       {"/tmpdisk", 0xef53},
                   {"/var/tmp/private", 0xef53}, {"/huge", HUGETLBFS_MAGIC}};
  systems.text =
      "20 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
      "21 20 252:0 / /mnt/zram rw - ext4 /dev/zram0 rw\n"
      "22 20 254:0 /var/tmp/systemd-private-1f-hadump-save.service-x/tmp /var/tmp/private rw "
      "master:1 - ext4 /dev/vda rw\n";
  for (const char* good : {"/var/crash", "/mnt/nfs", "/mnt/xfs", "/tmpdisk"})
    EXPECT_EQ(reason(systems, good), "");
  for (const char* bad : {"/run/dump", "/initramfs", "/huge"})
    EXPECT_EQ(reason(systems, bad),
              std::string(bad) + " is in memory and gone after the next boot");
  EXPECT_THAT(reason(systems, "/mnt/zram"), HasSubstr("disk in memory"));
  EXPECT_THAT(reason(systems, "/tmp/dumps"), HasSubstr("emptied at boot"));
  EXPECT_THAT(reason(systems, "/var/tmp/private"), HasSubstr("private directory"));
  EXPECT_THAT(reason(systems, "/missing"), HasSubstr("No such file"));
}

// Of a live system everything looks as if it were on a disk.
TEST(Lasting, IsAnOverlayByItsUpperDirectory) {
  FakeFileSystems systems;
  systems.types = {{"/", OVERLAYFS_SUPER_MAGIC},
                   {"/crash", OVERLAYFS_SUPER_MAGIC},
                   {"/run/live/a b,c", TMPFS_MAGIC},
                   {"/media/disk/rw", 0xef53}};
  const auto with = [&](const std::string& options) {
    systems.text = "20 1 0:22 / / rw,relatime shared:1 - overlay overlay rw," + options + "\n";
    return reason(systems, "/crash");
  };
  EXPECT_THAT(with("lowerdir=/l,upperdir=/run/live/a\\040b\\134,c,workdir=/w"),
              HasSubstr("memory"));
  EXPECT_EQ(with("lowerdir=/l,upperdir=/media/disk/rw,workdir=/w"), "");
  EXPECT_THAT(with("upperdir=/media/disk/rw,workdir=/w,volatile"), HasSubstr("volatile"));
  EXPECT_THAT(with("upperdir=/not/in/this/namespace"), HasSubstr("cannot be seen"));
  EXPECT_THAT(with("lowerdir=/l"), HasSubstr("unknown"));
  systems.text = "";
  EXPECT_THAT(reason(systems, "/crash"), HasSubstr("unknown"));
}

TEST(Lasting, KnowsTheRealSystem) {
  EXPECT_THAT(check_lasting("/dev", system_file_systems()).error().what(), HasSubstr("memory"));
  EXPECT_FALSE(check_lasting("/no/such/directory", system_file_systems()));
}

}  // namespace
}  // namespace hadump
