// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Room on a disk that is kept for when the disk is full: a file that is cut shorter when something
/// that must be written finds no room. Without it a full disk would keep a crashed guest down.
///
/// Threads: any.
class DiskReserve {
 public:
  /// @param path   absolute. @param bytes  how much is kept.
  DiskReserve(std::string path, std::uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  /// Takes what is missing, as far as there is room.
  void fill();
  /// Gives up at least `bytes` of it, or nothing when there is not as much left.
  /// @return whether it has.
  bool give(std::uint64_t bytes);

 private:
  std::string path_;
  std::uint64_t bytes_;
  std::mutex mutex_;
};

}  // namespace hadump
