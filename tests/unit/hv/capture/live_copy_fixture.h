// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hv/capture/live_copy.h"
#include "tests/fakes/in_memory_host.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {

inline constexpr std::uint64_t kAll = 4096;
// Frames that the guest writes its numbers into, in turn.
inline constexpr std::uint64_t kRing = 64;
inline constexpr std::uint64_t kFirst = 1000;  // of these
inline constexpr std::uint64_t kStride = 37;
// A backend's, who writes the number there as well.
inline constexpr std::uint64_t kGranted = 4000;
inline constexpr std::uint64_t kLate = 4001;  // another, granted at the last moment

/// While the domain is not paused, each call finds that it has written some numbers: number n is in
/// frame n % kRing. A backend repeats the last one.
class LiveCopyTest : public testing::Test {
 protected:
  LiveCopyTest() {
    DomainConfig config;
    config.uuid = "uuid-of-web";
    domid_ = host_.add(config);
    resident_ = host_.share(domid_);
    resident_->memory.add({Gfn{0}, Gfn{kAll}});
    on_call([this](const std::string& what) { return at_call(what); });
    resident_->dirty_log.grant(Gfn{kGranted});
    open_ = host_.open(domid_).value();
    image_ = PageImage::create(HeldFile::at(directory_ / "image").value(), Gfn{kAll}).value();
    for (std::uint64_t i = 0; i < kRing; ++i) write_next();
    survey_.ram = {{Gfn{0}, Gfn{kAll}}};
    image_->set_present(survey_.ram);
  }

  void on_call(const CallHook& hook) {
    resident_->memory.on_call(hook);
    resident_->domain.on_call(hook);
    resident_->dirty_log.on_call(hook);
    resident_->cpu_share.on_call(hook);
  }
  /// The one with this number, from 1 on; the others do what they do.
  void fail_call(const std::string& name, int number) {
    on_call(
        [this, name, left = std::make_shared<int>(number)](const std::string& what) -> Result<> {
          if (auto done = at_call(what); !done) return done;
          if (what == name && --*left == 0) return fail_os(EIO, what);
          return {};
        });
  }

  Result<> at_call(const std::string& what) {
    if (dead_) return fail(ErrorCode::kOs, "killed");
    ++calls_[what];
    last_call_ = what;
    // The registers are read after the copy.
    if (what == "cpu_state" && resident_->domain.pauses() > 0)
      clock_ += resident_->memory.mappings() * per_mapping_;
    if (resident_->domain.pauses() == 0)
      for (owed_ += writes_per_call_ * share(); owed_ >= 1; --owed_) write_next();
    if (what == "pause") resident_->dirty_log.grant(Gfn{kLate});
    if (what == kill_at_) {
      dead_ = true;
      throw Killed{};
    }
    return {};
  }
  /// What it has of a processor: it takes what it may.
  double share() const {
    const unsigned cap = resident_->cpu_share.cap();
    return cap == 0 ? 1 : cap / 100.0;
  }
  /// A look at the clock takes a tick, and a copy its time for each mapping.
  std::chrono::microseconds look_at_clock() {
    auto passed = tick_;
    if (last_call_ == "map") passed += resident_->memory.mappings() * per_mapping_;
    if (resident_->domain.pauses() == 0)
      resident_->cpu_share.ran(
          std::chrono::microseconds(std::llround(static_cast<double>(passed.count()) * share())));
    return clock_ += passed;
  }
  static Gfn frame_of_number(std::uint64_t number) {
    return Gfn{kFirst + number % kRing * kStride};
  }
  void write_next() {
    ++number_;
    resident_->dirty_log.guest_writes(frame_of_number(number_), 8, number_);
    for (const std::uint64_t gfn : {kGranted, kLate})
      resident_->dirty_log.backend_writes(Gfn{gfn}, 8, number_);
  }

  Result<LiveInstant> copy() {
    const LiveWorld world{.domain = *open_,
                          .image = *image_,
                          .limits = limits_,
                          .look = [this]() -> Result<FrameSurvey> {
                            ++looks_;
                            return survey_;
                          },
                          .may_go_on = [this] { return may_go_on_(); },
                          .note_stop =
                              [this](bool is_stopped) {
                                notes_.push_back(is_stopped);
                                return Result<>();
                              },
                          .note_cap = [this](const std::optional<CapChange>& change) -> Result<> {
                            if (auto done = at_call("note_cap"); !done) return done;
                            caps_.push_back(change);
                            return {};
                          },
                          .passed = [this](std::string_view step) { passed_(step); },
                          .wall_ms = [] { return std::uint64_t{1700000000000}; },
                          .monotonic = [this] { return look_at_clock(); },
                          .show = [](const LiveProgress&) {},
                          .info = [this](const std::string& text) { infos_.push_back(text); },
                          .buffer_frames = buffer_frames_};
    LiveCopy copy(world, survey_);
    auto done = copy.run();
    is_left_to_repair_ = copy.is_left_to_repair();
    vcpus_ = copy.take_vcpus();
    return done;
  }

  std::uint64_t in_image(Gfn gfn) const {
    auto mapping = image_->map({gfn, Gfn{gfn.value + 1}}, Access::kRead).value();
    std::uint64_t number = 0;
    std::memcpy(&number, mapping.frame(0).data() + 8, sizeof(number));
    return number;
  }
  /// The ring holds the last kRing numbers, each in its place, and the backend's frames the newest.
  void expect_one_instant() {
    std::uint64_t newest = 0;
    for (std::uint64_t i = 0; i < kRing; ++i)
      newest = std::max(newest, in_image(frame_of_number(i)));
    ASSERT_GT(newest, kRing) << "the guest has run";
    for (std::uint64_t number = newest - kRing + 1; number <= newest; ++number)
      ASSERT_EQ(in_image(frame_of_number(number)), number) << "newest: " << newest;
    for (const std::uint64_t gfn : {kGranted, kLate}) EXPECT_EQ(in_image(Gfn{gfn}), newest) << gfn;
  }
  void expect_free() {
    EXPECT_EQ(resident_->domain.pauses(), 0) << "it runs";
    EXPECT_FALSE(resident_->dirty_log.is_on()) << "and nothing is logged";
    EXPECT_EQ(resident_->memory.mappings(), 0) << "nor mapped";
    EXPECT_EQ(resident_->cpu_share.cap(), own_cap_) << "it has its processor time";
  }

  TemporaryDirectory directory_;
  InMemoryHost host_;
  unsigned domid_ = 0;
  std::shared_ptr<InMemoryHost::Resident> resident_;
  std::unique_ptr<OpenDomain> open_;
  std::unique_ptr<PageImage> image_;
  FrameSurvey survey_;
  LiveLimits limits_;
  std::uint64_t buffer_frames_ = 512;
  std::chrono::microseconds tick_{1};
  std::chrono::microseconds clock_{};
  std::chrono::microseconds per_mapping_{0};
  std::string last_call_;
  unsigned own_cap_ = 0;
  double owed_ = 0;
  std::uint64_t number_ = 0;
  unsigned writes_per_call_ = 3;
  std::string kill_at_;
  bool dead_ = false;
  int looks_ = 0;
  std::map<std::string, int> calls_;
  std::vector<bool> notes_;
  std::vector<std::optional<CapChange>> caps_;
  bool is_left_to_repair_ = false;
  std::vector<std::string> infos_;
  std::vector<hadump_vcpu> vcpus_;
  std::function<Result<>()> may_go_on_ = [] { return Result<>(); };
  std::function<void(std::string_view)> passed_ = [](std::string_view) {};
};

}  // namespace hadump
