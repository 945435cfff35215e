// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace hadump {

/// Which bytes of a file are taken. Adjacent extents are one, so that a file written from its
/// beginning to its end costs one entry.
class ExtentSet {
 public:
  /// Takes [begin, end). False, and nothing changes, when a part of it is taken already.
  bool take(std::uint64_t begin, std::uint64_t end) {
    const auto next = extents_.lower_bound(begin);
    const auto before = next == extents_.begin() ? extents_.end() : std::prev(next);
    if (next != extents_.end() && next->first < end) return false;
    if (before != extents_.end() && before->second > begin) return false;
    const bool joins_next = next != extents_.end() && next->first == end;
    const std::uint64_t last = joins_next ? next->second : end;
    if (joins_next) extents_.erase(next);
    if (before != extents_.end() && before->second == begin)
      before->second = last;
    else
      extents_[begin] = last;
    return true;
  }
  std::size_t entries() const { return extents_.size(); }

 private:
  std::map<std::uint64_t, std::uint64_t> extents_;  // begin, end; disjoint, not adjacent
};

}  // namespace hadump
