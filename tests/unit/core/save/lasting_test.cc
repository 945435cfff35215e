// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/lasting.h"

#include <gmock/gmock.h>
#include <linux/magic.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/unit/core/save/temporary_directory.h"

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
  Result<std::string> mounts() const override {
    if (unreadable) return fail_os(EACCES, "mountinfo");
    return text;
  }
  Result<std::uint64_t> mount_id(const std::string& directory) const override {
    const auto found = ids.find(directory);
    if (found == ids.end()) return fail(ErrorCode::kUnsupported, "not known");
    return found->second;
  }
  Result<DiskFacts> disk(const std::string& device) const override {
    const auto found = disks.find(device);
    if (found == disks.end()) return fail_os(ENOENT, device);
    return found->second;
  }
  Result<std::string> block_device(const std::string& path) const override {
    const auto found = devices.find(path);
    if (found == devices.end()) return fail(ErrorCode::kUnsupported, path);
    return found->second;
  }

  bool unreadable = false;
  std::map<std::string, std::uint64_t> ids;
  std::map<std::string, DiskFacts> disks = {{"254:0", {"vda", {}, {}}}, {"254:1", {"vdb", {}, {}}}};
  std::map<std::string, std::string> devices;
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
      "21 20 254:9 / /mnt/zram rw - ext4 /dev/zram0 rw\n"
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
  EXPECT_THAT(reason(systems, "/crash"), HasSubstr("not in the list of mounts"));
}

// A bind mount has another name, but the files go all the same.
TEST(Lasting, IsNotWhatIsMountedFromBelowTmp) {
  FakeFileSystems systems;
  for (const char* place : {"/srv", "/srv/dumps", "/mnt", "/data/tmp", "/opt", "/lost"})
    systems.types[place] = 0xef53;
  const std::string root = "20 1 254:0 / / rw - ext4 /dev/vda rw\n";
  systems.text = root + "21 20 254:0 /tmp/x /srv rw - ext4 /dev/vda rw\n";
  EXPECT_THAT(reason(systems, "/srv"), HasSubstr("/tmp/x, which is emptied at boot"));
  EXPECT_THAT(reason(systems, "/srv/dumps"), HasSubstr("/tmp/x/dumps, which is emptied at boot"));
  // A disk, or a subvolume, that is /tmp.
  systems.text = root +
                 "21 20 254:1 / /tmp rw - ext4 /dev/vdb rw\n"
                 "22 20 254:1 /x /srv rw - ext4 /dev/vdb rw\n";
  EXPECT_THAT(reason(systems, "/srv/dumps"), HasSubstr("/tmp/x/dumps, which is emptied at boot"));
  systems.text =
      "20 1 0:30 /@ / rw - btrfs /dev/vda rw\n"
      "21 20 0:30 /@/tmp/x /srv rw - btrfs /dev/vda rw\n";
  EXPECT_THAT(reason(systems, "/srv"), HasSubstr("/tmp/x, which is emptied at boot"));
  // Nothing shows where that directory is; as likely as not, it is /tmp.
  systems.text = "20 1 254:0 /tmp/x /srv rw - ext4 /dev/vda rw\n";
  EXPECT_THAT(reason(systems, "/srv"), HasSubstr("emptied at boot"));
  // A directory of that name on another disk lasts.
  systems.text = root +
                 "21 20 254:1 / /data rw - ext4 /dev/vdb rw\n"
                 "22 20 254:1 /tmp/x /mnt rw - ext4 /dev/vdb rw\n"
                 "23 20 254:0 /tmpfiles /opt rw - ext4 /dev/vda rw\n";
  for (const char* good : {"/data/tmp", "/mnt", "/opt"}) EXPECT_EQ(reason(systems, good), "");
}

TEST(Lasting, IsNothingThatNobodyCanTell) {
  FakeFileSystems systems;
  systems.types = {{"/var/crash", 0xef53}};
  systems.text = "";
  EXPECT_EQ(check_lasting("/var/crash", systems).error().code(), ErrorCode::kBadData);
  systems.text = "20 1 254:0 / /var/lib rw - ext4 /dev/vda rw\n";
  EXPECT_EQ(check_lasting("/var/crash", systems).error().code(), ErrorCode::kBadData);
  systems.text = "20 1 254:0 / / rw - ext4 /dev/vda rw\n";
  EXPECT_TRUE(check_lasting("/var/crash", systems));
  systems.unreadable = true;
  EXPECT_EQ(check_lasting("/var/crash", systems).error().code(), ErrorCode::kBadData);
}

// What is mounted is on a disk, by its name.
TEST(Lasting, IsWhatItsDiskIsMadeOf) {
  FakeFileSystems systems;
  systems.types = {{"/mnt", 0xef53},
                   {"/var/images", 0xef53},
                   {"/run/images", TMPFS_MAGIC},
                   {"/tmp/images", 0xef53},
                   {"/", 0xef53}};
  const auto on = [&](const std::map<std::string, DiskFacts>& disks, const char* device = "7:0") {
    systems.disks = disks;
    systems.disks["254:0"] = {"vda", {}, {}};
    systems.text = std::string("20 1 254:0 / / rw - ext4 /dev/vda rw\n21 20 ") + device +
                   " / /mnt rw - ext4 /dev/x rw\n";
    return reason(systems, "/mnt");
  };
  EXPECT_EQ(on({{"7:0", {"loop0", "/var/images/a", {}}}}), "");
  EXPECT_THAT(on({{"7:0", {"loop0", "/run/images/a", {}}}}), HasSubstr("is in memory"));
  EXPECT_THAT(on({{"7:0", {"loop0", "/tmp/images/a", {}}}}), HasSubstr("emptied at boot"));
  EXPECT_THAT(on({{"7:0", {"loop0", "/var/images/a (deleted)", {}}}}), HasSubstr("with this boot"));
  EXPECT_THAT(on({{"7:0", {"loop0", "/initramfs/a", {}}}}), HasSubstr("cannot be seen"));
  EXPECT_THAT(on({{"7:0", {"loop0", "a", {}}}}), HasSubstr("cannot be seen"));
  EXPECT_THAT(on({}), HasSubstr("cannot be seen"));
  EXPECT_THAT(on({{"7:0", {"ram0", "", {}}}}), HasSubstr("disk in memory"));
  // LVM on LUKS on RAID on two disks.
  std::map<std::string, DiskFacts> stack = {{"253:1", {"dm-1", "", {"253:0"}}},
                                            {"253:0", {"dm-0", "", {"9:0"}}},
                                            {"9:0", {"md0", "", {"254:0", "8:1"}}},
                                            {"8:1", {"sda", "", {}}}};
  EXPECT_EQ(on(stack, "253:1"), "");
  for (const char* name : {"ram15", "zram0", "nullb1"}) {
    stack["8:1"].name = name;
    EXPECT_THAT(on(stack, "253:1"), HasSubstr("disk in memory")) << name;
  }
  stack["8:1"] = {"loop7", "/run/images/a", {}};
  EXPECT_THAT(on(stack, "253:1"), HasSubstr("is in memory"));
  stack["8:1"] = {"dm-7", "", {"253:1"}};
  EXPECT_THAT(on(stack, "253:1"), HasSubstr("too many layers"));
  // A loop device of a disk, and a file system that has disks but is not one's.
  systems.devices = {{"/dev/zram0", "252:0"}};
  const std::map<std::string, DiskFacts> zram = {{"7:0", {"loop0", "/dev/zram0", {}}},
                                                 {"252:0", {"zram0", "", {}}}};
  EXPECT_THAT(on(zram), HasSubstr("disk in memory"));
  systems.devices = {{"/dev/x", "252:0"}};
  EXPECT_THAT(on(zram, "0:50"), HasSubstr("disk in memory"));
}

TEST(Lasting, IsOnTheMountThatIsSeen) {
  FakeFileSystems systems;
  systems.types = {{"/mnt/a", 0xef53}};
  systems.disks["1:0"] = {"ram0", {}, {}};
  systems.text =
      "20 1 254:0 / / rw - ext4 /dev/vda rw\n"
      "21 20 254:1 / /mnt/a rw - ext4 /dev/vdb rw\n"
      "22 20 1:0 / /mnt rw - ext4 /dev/disk rw\n";  // Mounted over it, with a directory "a".
  EXPECT_EQ(reason(systems, "/mnt/a"), "");
  systems.ids["/mnt/a"] = 22;
  EXPECT_THAT(reason(systems, "/mnt/a"), HasSubstr("disk in memory"));
  systems.ids["/mnt/a"] = 23;
  EXPECT_THAT(reason(systems, "/mnt/a"), HasSubstr("not in the list of mounts"));
}

TEST(DiskFacts, AreWhatSysfsSays) {
  const TemporaryDirectory sys;
  const auto make = [&](const std::string& path, const std::string& text = {}) {
    std::filesystem::create_directories(std::filesystem::path(sys / path).parent_path());
    std::ofstream(sys / path) << text;
  };
  make("devices/virtual/block/loop3/loop/backing_file", "/a b/file (deleted)\n");
  make("devices/virtual/block/loop3/loop3p1/partition", "1\n");
  make("devices/virtual/block/dm-0/slaves/x", "");
  std::filesystem::remove(sys / "devices/virtual/block/dm-0/slaves/x");
  std::filesystem::create_directory_symlink("../../loop3/loop3p1",
                                            sys / "devices/virtual/block/dm-0/slaves/loop3p1");
  make("devices/virtual/block/loop3/loop3p1/dev", "259:1\n");
  std::filesystem::create_directories(sys / "dev/block");
  std::filesystem::create_directories(sys / "class/block");
  for (const auto& [number, name] :
       {std::pair{"7:3", "loop3"}, {"259:1", "loop3/loop3p1"}, {"253:0", "dm-0"}})
    std::filesystem::create_directory_symlink(std::string("../../devices/virtual/block/") + name,
                                              sys / "dev/block" + ("/" + std::string(number)));
  std::filesystem::create_directory_symlink("../../devices/virtual/block/loop3/loop3p1",
                                            sys / "class/block/loop3p1");
  for (const char* device : {"7:3", "259:1"}) {
    const auto facts = read_disk_facts(device, sys / ".");
    ASSERT_TRUE(facts) << facts.error().what();
    EXPECT_EQ(facts->name, "loop3");
    EXPECT_EQ(facts->backing_file, "/a b/file (deleted)");
    EXPECT_THAT(facts->parts, testing::IsEmpty());
  }
  EXPECT_THAT(read_disk_facts("253:0", sys / ".")->parts, testing::ElementsAre("259:1"));
  EXPECT_EQ(read_disk_facts("1:1", sys / ".").error().code(), ErrorCode::kNotFound);
  // Without a /dev of the disk's.
  EXPECT_EQ(find_block_device("/dev/loop3p1", sys / ".").value_or(""), "259:1");
  for (const char* none : {"/dev/null", "/dev/none", "/etc/passwd", "server:/export", "tmpfs"})
    EXPECT_FALSE(find_block_device(none, sys / ".")) << none;
}

TEST(Lasting, KnowsTheRealSystem) {
  EXPECT_THAT(check_lasting("/dev", system_file_systems()).error().what(), HasSubstr("memory"));
  EXPECT_FALSE(check_lasting("/no/such/directory", system_file_systems()));
}

}  // namespace
}  // namespace hadump
