// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hv/domain/cpu_share.h"
#include "tests/fakes/call_hook.h"

namespace hadump {

/// CpuShare that behaves: a domain with a cap whose use of processors a test tells.
class InMemoryCpuShare : public CpuShare {
 public:
  explicit InMemoryCpuShare(std::vector<std::string>& history) : history_(history) {}

  /// The guest has run for so long.
  void ran(std::chrono::microseconds time) { use_.used += time; }
  /// An admin's `xl sched-credit2 -c`.
  void admin_sets(unsigned percent) { use_.cap_percent = percent; }
  unsigned cap() const { return use_.cap_percent; }
  /// A scheduler without caps.
  void set_unsupported() { is_unsupported_ = true; }
  void on_call(CallHook hook) { hook_ = std::move(hook); }

  Result<CpuUse> look() const override {
    if (auto failed = hook_("look_at_share"); !failed) return fail(std::move(failed));
    if (is_unsupported_) return fail(ErrorCode::kUnsupported, "the scheduler has no caps");
    return use_;
  }
  Result<> set_cap(unsigned percent) override {
    if (auto failed = hook_("set_cap"); !failed) return failed;
    if (is_unsupported_) return fail(ErrorCode::kUnsupported, "the scheduler has no caps");
    if (percent > 0xfffe) return fail(ErrorCode::kOs, "too large");
    use_.cap_percent = percent;
    history_.push_back("set_cap " + std::to_string(percent));
    return {};
  }

 private:
  std::vector<std::string>& history_;
  CallHook hook_ = no_hook();
  bool is_unsupported_ = false;
  CpuUse use_{.cap_percent = 0, .used = {}, .vcpus = 2};
};

}  // namespace hadump
