// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace hadump {

/// What the parts of one round of the event loop took. Nothing in a round may be slow, since all
/// domains and clients wait for it; where something was, the log must name it.
class RoundClock {
 public:
  using Now = std::function<std::chrono::milliseconds()>;  ///< monotonic

  explicit RoundClock(Now now) : now_(std::move(now)), last_(now_()) {}

  /// Ends the part that began with the last call. @param allowed  what it was meant to wait.
  void ended(const char* part, std::chrono::milliseconds allowed = {});
  /// Begins a new round. @return what was slow in the last one, "" when nothing was.
  std::string next_round();

 private:
  Now now_;
  std::chrono::milliseconds last_;
  std::vector<std::pair<const char*, std::chrono::milliseconds>>
      parts_;  ///< beyond what is allowed
};

}  // namespace hadump
