// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// What a block device is made of.
struct DiskFacts {
  std::string name;                ///< The kernel's for the whole disk: "vda", "loop0", "dm-1".
  std::string backing_file;        ///< A loop device's, as losetup(8) shows it; empty for others.
  std::vector<std::string> parts;  ///< What it lies on: "MAJOR:MINOR" of each (dm, md, bcache).
};

/// Source: Documentation/ABI/stable/sysfs-block and testing/sysfs-block-dm; drivers/block/loop.c
/// for `loop/backing_file`.
/// @param device  "MAJOR:MINOR". A partition stands for its disk.
/// @param sys     "/sys", or a test's directory.
/// @return kOs, kNotFound when there is no such device.
Result<DiskFacts> read_disk_facts(const std::string& device, const std::string& sys = "/sys");

/// Which block device a file of /dev is. Where a service has no /dev of its own (PrivateDevices=),
/// the kernel's name of it tells.
/// @return "MAJOR:MINOR"; kUnsupported for what is not known to be one.
Result<std::string> find_block_device(const std::string& path, const std::string& sys = "/sys");

/// Whether what is on this disk is in memory: brd, zram, null_blk.
bool is_memory_disk(const std::string& name);

}  // namespace hadump
