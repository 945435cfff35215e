// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string>
#include <utility>

#include "hv/hadumpd/late_writes.h"

namespace hadump {

/// Late writes that are done at once or, while the disk hangs, when settle() is called.
class ManualWrites : public LateWrites {
 public:
  void hang() { hangs_ = true; }
  std::size_t waiting() const { return waiting_.size(); }

  void soon(const std::string& key, std::function<void()> write) override {
    if (hangs_)
      waiting_[key] = std::move(write);
    else
      write();
  }
  void settle() override {
    hangs_ = false;
    for (const auto& [key, write] : std::exchange(waiting_, {})) write();
  }

 private:
  bool hangs_ = false;
  std::map<std::string, std::function<void()>> waiting_;
};

}  // namespace hadump
