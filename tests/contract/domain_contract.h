// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include "hv/domain/domain.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// What every Domain must do, as far as a domain that is not to boot can show it.
/// @param domain  crashed, and not paused. Behind this it is reset and paused.
/// @param memory  its memory, whose limit is changed.
inline void check_domain_contract(Domain& domain, GuestMemory& memory) {
  auto status = domain.status();
  ASSERT_TRUE(status) << status.error().what();
  EXPECT_TRUE(status->shutdown);
  EXPECT_EQ(status->reason, ShutdownReason::kCrash);

  ASSERT_TRUE(domain.pause());
  EXPECT_TRUE(domain.status().value().paused);
  ASSERT_TRUE(domain.pause()) << "a second pause is no error";

  ASSERT_TRUE(domain.unpause());
  EXPECT_TRUE(domain.status().value().paused) << "the first pause still holds";

  auto cpus = domain.cpu_state();
  ASSERT_TRUE(cpus) << cpus.error().what();
  ASSERT_FALSE(cpus->vcpus.empty());
  for (std::size_t i = 0; i < cpus->vcpus.size(); ++i) EXPECT_EQ(cpus->vcpus[i].id, i);
  EXPECT_FALSE(cpus->context.empty());

  const std::vector<MapEntry> map{{0, 1_MiB, MapType::kRam}};
  const std::uint64_t frames = memory.total_frames().value();
  ASSERT_TRUE(memory.set_limit_kib(frames * 4));
  EXPECT_FALSE(domain.reset(map)) << "it needs a page more for a moment";
  ASSERT_TRUE(memory.set_limit_kib((frames - 1) * 4)) << "less than it has is no error";
  EXPECT_EQ(domain.status().value().max_memory_kib, (frames - 1) * 4);
  ASSERT_TRUE(memory.set_limit_kib((frames + 1) * 4));
  const auto reset = domain.reset(map);
  ASSERT_TRUE(reset) << reset.error().what();
  status = domain.status();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->shutdown) << "a reset domain has not crashed";
  EXPECT_TRUE(status->paused) << "and runs only when it is told to";

  const auto held = domain.withdraw_grants();
  ASSERT_TRUE(held) << held.error().what();
  for (const HeldGrants& one : *held) {
    EXPECT_FALSE(one.frames.empty());
    EXPECT_EQ(one.writable.intersection(one.frames), one.writable);
  }
  const auto again = domain.withdraw_grants();
  ASSERT_TRUE(again) << again.error().what();
  EXPECT_EQ(again->size(), held->size()) << "until the others let go";
}

}  // namespace hadump
