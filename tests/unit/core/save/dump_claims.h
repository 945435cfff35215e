// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gmock/gmock.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/vmcore/open.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {

/// What a dump says about the machine's frames.
struct DumpClaims {
  bool complete = false;
  FrameSet good;   ///< Read as they were.
  FrameSet lost;   ///< Said to be lost.
  FrameSet wrong;  ///< Neither.
};

inline DumpClaims claims_of(const std::string& path, const FakeMachine& machine,
                            const FrameSet& frames, const OutputFormat* format) {
  DumpClaims claims;
  auto dump = open_vmcore(path);
  EXPECT_TRUE(dump) << dump.error().what();
  if (!dump) return claims;
  claims.complete = !(*dump)->layout().incomplete;
  std::vector<std::byte> truth(kFrameSize), found(kFrameSize);
  const std::vector<std::byte> zeros(kFrameSize);
  for (FrameRange range : frames.ranges())
    for (Gfn gfn = range.begin; gfn < range.end; gfn = Gfn{gfn.value + 1}) {
      FrameStatus status = FrameStatus::kAbsent;
      EXPECT_TRUE((*dump)->read(gfn, found, {&status, 1}));
      machine.truth(gfn, truth);
      // An incomplete ELF or Xen core has zeros or nothing for what it has not.
      const bool may_lack = format != find_output_format("kdump") && !claims.complete;
      const bool is_lost =
          status == FrameStatus::kFailed ||
          (may_lack && (status == FrameStatus::kAbsent || (found != truth && found == zeros)));
      (status == FrameStatus::kRead && found == truth ? claims.good
       : is_lost                                      ? claims.lost
                                                      : claims.wrong)
          .insert({gfn, Gfn{gfn.value + 1}});
    }
  return claims;
}

/// @param may_lose  what others have released.
inline void expect_no_lie(const DumpClaims& claims, int exit_code, const FrameSet& may_lose) {
  EXPECT_TRUE(claims.wrong.empty()) << claims.wrong.frames() << " frames are wrong";
  EXPECT_EQ(claims.lost.intersection(may_lose), claims.lost);
  EXPECT_THAT(exit_code, testing::AnyOf(kExitOk, kExitIncomplete, kExitHeld));
  EXPECT_EQ(claims.complete, exit_code != kExitIncomplete);
  if (claims.complete) {
    EXPECT_TRUE(claims.lost.empty());
  }
}

}  // namespace hadump
