// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>

#include "core/base/file.h"
#include "tests/unit/core/save/sample_regions.h"
#include "tests/unit/core/save/temporary_directory.h"
#include "userspace/cli/streams.h"

namespace hadump {

/// A directory like /sys/kernel with a waiting dump.
class WithSysfs : public testing::Test {
 protected:
  WithSysfs() {
    std::filesystem::create_directory(dir_ / "hadump");
    write("release_region", "");
    write("hadump/regions", kSampleRegions);
    write("hadump/dump_id", std::string(32, 'c') + "\n");
    write("hadump/enabled", "1\n");
    write("hadump/registered", "0\n");
    write("hadump/progress", "half of it\n");
    write("hadump/node", "");
  }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_atomically(dir_ / name, text, 0600));
  }
  std::string read(const std::string& name) { return *read_text_file(dir_ / name, 4096); }
  std::string root() const { return dir_ / ""; }

  TemporaryDirectory dir_;
  std::ostringstream out_, err_;
  Streams io_{out_, err_, false};
};

}  // namespace hadump
