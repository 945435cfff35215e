// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "core/base/held_file.h"

namespace hadump {

/// A directory of its own, gone at the end. In memory where that can be had: the tests make things
/// durable thousands of times, and a busy disk would take minutes for it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const bool in_memory = ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path parent =
        in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "hadump-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  HeldFile held(const std::string& name) const { return *HeldFile::at(*this / name); }

 private:
  std::string path_;
};

}  // namespace hadump
