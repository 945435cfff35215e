// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>

namespace hadump {

/// What is written down in a moment, by somebody else: the event loop must not wait for dom0's
/// disk, which may be slow, or gone.
///
/// Implementations: LateWriter (hv/hadumpd), ManualWrites (tests/fakes).
/// Threads: any.
class LateWrites {
 public:
  virtual ~LateWrites() = default;

  /// Runs `write` soon, once. One of the same key that has not begun is forgotten.
  virtual void soon(const std::string& key, std::function<void()> write) = 0;
  /// Waits until everything that was asked for is over.
  virtual void settle() = 0;
};

}  // namespace hadump
