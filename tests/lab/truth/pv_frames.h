// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace hadump::lab {

/// The frames of a PV domain that has shut down, by its own numbers.
class PvFrames {
 public:
  /// True when it is a PV domain. @throws std::runtime_error when Xen or the guest's p2m do not
  /// say.
  bool open(std::uint32_t domid);

  std::size_t count() const { return machine_.size(); }
  std::uint64_t machine_frame(std::uint64_t number) const { return machine_.at(number); }
  /// 0, or a page table's level.
  unsigned level(std::uint64_t number) const { return levels_.at(number); }
  /// Puts the guest's own numbers into a page table of that level; what is not its frame becomes 0.
  void renumber(std::span<std::uint64_t> entries, unsigned level) const;

 private:
  std::vector<std::uint64_t> machine_;
  std::vector<unsigned char> levels_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> numbers_;  // machine frame, number; sorted
};

}  // namespace hadump::lab
