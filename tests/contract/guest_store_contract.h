// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include "hv/domain/domain.h"

namespace hadump {

/// What every GuestStore must do.
/// @param store  of a domain that does not run, and that may be destroyed after this.
inline void check_guest_store_contract(GuestStore& store) {
  ASSERT_TRUE(store.clear_guest_keys());
  auto keys = store.guest_keys();
  ASSERT_TRUE(keys) << keys.error().what();
  EXPECT_TRUE(keys->empty());
  EXPECT_TRUE(store.clear_guest_keys()) << "clearing what is not there is no error";

  EXPECT_TRUE(store.withdraw_requests()) << "when there are none, either";

  // What we publish is not taken for something that the guest has written.
  const auto published = store.publish("state", "crashed");
  EXPECT_TRUE(published) << published.error().what();
  EXPECT_TRUE(store.publish("state", "again")) << "a key can be written twice";
  keys = store.guest_keys();
  ASSERT_TRUE(keys);
  EXPECT_TRUE(keys->empty());

  ASSERT_TRUE(store.set_balloon_target_kib(123456));
  EXPECT_EQ(store.balloon_target_kib().value(), 123456U);
}

}  // namespace hadump
