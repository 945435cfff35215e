// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/throttle.h"

#include <fmt/format.h>

#include <algorithm>

namespace hadump {
namespace {

// It aims below what fits: what a guest does first with its time need not be what it writes with.
constexpr double kAim = 0.5;
// Each step is worth a pass, and none makes a guest stand still for a measurement that was wrong.
constexpr double kLeastStep = 0.75;
constexpr double kLargestStep = 0.25;
// With less, a guest's own watchdogs may bite, and who holds a lock keeps all others waiting.
constexpr unsigned kLeastPercentPerVcpu = 5;

std::string cap_text(unsigned percent) {
  return percent == 0 ? "no cap" : fmt::format("a cap of {} %", percent);
}

bool is_ours(unsigned cap, const CapChange& change) {
  return std::find(change.set.begin(), change.set.end(), cap) != change.set.end();
}

}  // namespace

std::optional<unsigned> lower_cap(const CpuUse& now, double used_percent, double fits) {
  const double cap = now.cap_percent;
  const double has = cap == 0 ? used_percent : std::min(used_percent, cap);
  const double wanted = has * std::clamp(kAim * fits, kLargestStep, kLeastStep);
  const unsigned least = kLeastPercentPerVcpu * std::max(now.vcpus, 1U);
  const unsigned next = std::max(static_cast<unsigned>(wanted), least);
  if (next >= has) return {};
  return next;
}

Result<bool> restore_cap(CpuShare& share, const CapChange& change) {
  auto now = share.look();
  if (!now && now.error().code() == ErrorCode::kNotFound) return false;
  if (!now && now.error().code() == ErrorCode::kUnsupported) return false;  // of another CPU pool
  if (!now) return fail(std::move(now));
  if (!is_ours(now->cap_percent, change)) return false;
  if (auto done = share.set_cap(change.before); !done) return fail(std::move(done));
  return true;
}

void Throttle::look() {
  auto now = world_.share.look();
  const auto at = world_.monotonic();
  used_percent_ = 0;
  if (now && seen_ && at > seen_at_)
    used_percent_ = 100 * static_cast<double>((now->used - seen_->used).count()) /
                    static_cast<double>((at - seen_at_).count());
  seen_ = now ? std::optional(*now) : std::nullopt;
  seen_at_ = at;
}

Result<bool> Throttle::lower(double fits) {
  if (!seen_) return false;
  if (change_ && seen_->cap_percent != change_->set.back()) {
    world_.info(fmt::format("somebody else has given the guest {}; it keeps it",
                            cap_text(seen_->cap_percent)));
    return false;
  }
  const auto next = lower_cap(*seen_, used_percent_, fits);
  if (!next) return false;
  CapChange change = change_.value_or(CapChange{.before = seen_->cap_percent, .set = {}});
  change.set.push_back(*next);
  if (auto done = world_.note(change); !done) return fail(std::move(done));
  if (!change_) begun_ = world_.monotonic();
  change_ = done_ = std::move(change);
  if (auto done = world_.share.set_cap(*next); !done) {
    world_.info(fmt::format("the guest's processor time stays as it is: {}", done.error().what()));
    return false;
  }
  world_.info(
      fmt::format("the guest used {:.0f} % of a processor; it gets {} % until it was stopped, and "
                  "then {} again",
                  used_percent_, *next, cap_text(done_.before)));
  return true;
}

Result<> Throttle::undo() {
  if (!change_) return {};
  auto restored = restore_cap(world_.share, *change_);
  if (!restored) return fail(std::move(restored), "giving the guest its processor time back");
  if (auto done = world_.note({}); !done) return done;
  lasted_ = world_.monotonic() - begun_;
  world_.info(fmt::format("the guest was throttled for {} ms; {}", lasted_.count() / 1000,
                          *restored ? "it has " + cap_text(change_->before) + " again"
                                    : "its cap is somebody else's by now"));
  change_.reset();
  return {};
}

}  // namespace hadump
