// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "hv/capture/cap_change.h"
#include "hv/domain/cpu_share.h"

namespace hadump {

/// The next cap for a guest that writes too fast. It gets as much less time as it must write less,
/// within limits: the relation is a guess that the next pass corrects.
/// @param used_percent  of one processor, that it has used lately. @param fits  of what it has
///                      written in that time, as much as it may write; 0.5: half of it.
/// @return nothing when it would not have less then than it has.
std::optional<unsigned> lower_cap(const CpuUse& now, double used_percent, double fits);

/// Gives the domain its own cap back, unless it has another one than we have set: that is an
/// admin's, of later. No error when the domain is gone. Can be repeated.
/// @return whether it was changed.
Result<bool> restore_cap(CpuShare& share, const CapChange& change);

/// Lets a guest have less processor time, step by step, and gives it back. The owner calls undo();
/// after a kill, whoever comes after us calls restore_cap() with what was noted.
class Throttle {
 public:
  struct World {
    CpuShare& share;
    /// Whoever comes after us must know, before it is changed. Nothing: it is as it was.
    std::function<Result<>(const std::optional<CapChange>&)> note;
    std::function<std::chrono::microseconds()> monotonic;
    std::function<void(const std::string&)> info;
  };
  explicit Throttle(World world) : world_(std::move(world)) {}

  /// What the guest uses is measured from one look to the next.
  void look();
  /// @param fits  as for lower_cap(). @return false when nothing was changed, as it would not help,
  ///              or somebody else sees to the cap; and the error of note().
  Result<bool> lower(double fits);
  /// Can be repeated. @return the errors of restore_cap() and note(): then it is still due.
  Result<> undo();

  /// What was done, also after undo().
  const CapChange& done() const { return done_; }
  std::chrono::microseconds lasted() const { return lasted_; }

 private:
  World world_;
  std::optional<CpuUse> seen_;
  std::chrono::microseconds seen_at_{};
  double used_percent_ = 0;
  std::optional<CapChange> change_;
  CapChange done_;
  std::chrono::microseconds begun_{};
  std::chrono::microseconds lasted_{};
};

}  // namespace hadump
