// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/alias_releaser.h"

#include <gmock/gmock.h>

#include <vector>

#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

using testing::ElementsAre;

class AliasReleaserTest : public testing::Test {
 protected:
  AliasReleaserTest() {
    survey.ram = FrameSet{FrameRange{Gfn{1}, Gfn{40}}, FrameRange{Gfn{50}, Gfn{60}},
                          FrameRange{Gfn{61}, Gfn{100}}};
    survey.absent = FrameSet{FrameRange{Gfn{40}, Gfn{50}}};
    survey.broken = FrameSet{FrameRange{Gfn{60}, Gfn{61}}};
    survey.special = FrameSet{FrameRange{Gfn{0}, Gfn{1}}};
    guest.make_special(Gfn{0}).make_broken(Gfn{60});
    for (std::uint64_t gfn = 1; gfn < 40; ++gfn) guest.fill(Gfn{gfn}, std::byte{9});
  }
  AliasReleaser look(const FrameSet& saved = {}) {
    return AliasReleaser::look(guest, survey, saved).value();
  }

  InMemoryGuest guest{{Gfn{0}, Gfn{40}}, {Gfn{50}, Gfn{100}}};
  FrameSurvey survey;
};

TEST_F(AliasReleaserTest, ShowsWhatTheDomainStillHas) {
  ASSERT_TRUE(guest.remove({Gfn{70}, Gfn{80}}));  // by a run before this one
  AliasReleaser releaser = look();
  const RegionTable table = releaser.regions().value();
  EXPECT_EQ(table.in_state(RegionState::kReleased), (FrameSet{FrameRange{Gfn{70}, Gfn{80}}}));
  EXPECT_EQ(table.in_state(RegionState::kHole), (FrameSet{FrameRange{Gfn{40}, Gfn{50}}}));
  EXPECT_EQ(table.in_state(RegionState::kHeld),
            (FrameSet{{Gfn{0}, Gfn{40}}, {Gfn{50}, Gfn{70}}, {Gfn{80}, Gfn{100}}}));
}

// It may have been cleared before the run was killed.
TEST_F(AliasReleaserTest, WhatIsSavedIsNotHeldThoughItIsThere) {
  ASSERT_TRUE(guest.remove({Gfn{70}, Gfn{80}}));
  AliasReleaser releaser = look(FrameSet{FrameRange{Gfn{45}, Gfn{85}}});
  EXPECT_EQ(releaser.regions()->in_state(RegionState::kReleased),
            (FrameSet{FrameRange{Gfn{50}, Gfn{85}}}));
  std::vector<std::uint64_t> told;
  releaser.on_release([&](std::uint64_t bytes) { told.push_back(bytes >> kFrameShift); });
  ASSERT_TRUE(releaser.release({Gfn{90}, Gfn{92}}));
  EXPECT_THAT(told, ElementsAre(12U)) << "the host does not have the rest yet";
}

TEST_F(AliasReleaserTest, GivesBackClearedMemoryAndNothingTwice) {
  AliasReleaser releaser = look();
  std::vector<std::uint64_t> told;
  releaser.on_release([&](std::uint64_t bytes) { told.push_back(bytes >> kFrameShift); });
  ASSERT_TRUE(releaser.release({Gfn{30}, Gfn{55}})) << "with the hole in it";
  EXPECT_THAT(told, ElementsAre(15U));
  EXPECT_EQ(guest.leaked_frames(), 0U);
  EXPECT_FALSE(guest.exists(Gfn{30}));
  EXPECT_EQ(releaser.release({Gfn{30}, Gfn{31}}).error().code(), ErrorCode::kBadData);
  EXPECT_EQ(releaser.release({Gfn{54}, Gfn{56}}).error().code(), ErrorCode::kBadData);
  EXPECT_EQ(releaser.release({Gfn{41}, Gfn{42}}).error().code(), ErrorCode::kBadData);
  EXPECT_EQ(releaser.release({Gfn{200}, Gfn{201}}).error().code(), ErrorCode::kBadData);
}

TEST_F(AliasReleaserTest, WhatTheHostDoesNotTakeIsStillHeld) {
  AliasReleaser releaser = look();
  guest.make_unwritable(Gfn{5});
  const auto refused = releaser.release({Gfn{5}, Gfn{6}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kOs) << "to be tried again";
  EXPECT_TRUE(releaser.regions()->in_state(RegionState::kHeld).contains(Gfn{5}));
  EXPECT_TRUE(guest.exists(Gfn{5}));
}

}  // namespace
}  // namespace hadump
