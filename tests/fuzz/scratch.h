// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "core/base/file.h"
#include "core/base/held_file.h"

namespace hadump {

/// A directory for this process, in memory where that can be had: its files are made durable.
class Scratch {
 public:
  Scratch() {
    std::string pattern = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    pattern += "/hadump-fuzz-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }
  std::string put(const std::string& name, std::span<const std::byte> content) const {
    std::string path = path_ + "/" + name;
    auto fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!fd || !write_all(fd->get(), content, path)) std::abort();
    return path;
  }
  static HeldFile held(const std::string& path) {
    auto file = HeldFile::at(path);
    if (!file) std::abort();
    return std::move(*file);
  }

 private:
  std::string path_;
};

}  // namespace hadump
