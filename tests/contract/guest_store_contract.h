// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/abi/hadump_abi.h"
#include "hv/domain/domain.h"

namespace hadump {

/// All that a guest says; fake_contract_test.cc compares with the ABI.
inline constexpr const char* kGuestsWords[] = {
    HADUMP_XS_VERSION,   HADUMP_XS_VMCOREINFO,  HADUMP_XS_PAGE_OFFSET, HADUMP_XS_MODE,
    HADUMP_XS_SAVE_AREA, HADUMP_XS_STATE,       HADUMP_XS_DUMP_ID,     HADUMP_XS_MEM_HELD,
    HADUMP_XS_PROGRESS,  HADUMP_XS_BOOT_MEMORY, HADUMP_XS_ABILITIES};

/// Writes a key below HADUMP_XS_GUEST as the guest does.
using GuestWrites = std::function<void(const std::string& key, const std::string& value)>;

/// What every GuestStore must do.
/// @param store  of a domain that does not run, and that may be destroyed after this.
inline void check_guest_store_contract(GuestStore& store, const GuestWrites& guest_writes) {
  ASSERT_TRUE(store.clear_guest_keys());
  auto keys = store.guest_keys();
  ASSERT_TRUE(keys) << keys.error().what();
  EXPECT_TRUE(keys->empty());
  EXPECT_TRUE(store.clear_guest_keys()) << "clearing what is not there is no error";

  EXPECT_TRUE(store.withdraw_requests()) << "when there are none, either";

  GuestKeys said;
  for (const char* key : kGuestsWords) {
    said[key] = std::string("this is ") + key;
    guest_writes(key, said[key]);
  }
  EXPECT_EQ(store.guest_keys().value(), said);
  guest_writes(HADUMP_XS_PROGRESS, std::string(HADUMP_XS_MAX_VALUE, 'x'));
  EXPECT_EQ(store.guest_keys().value().count(HADUMP_XS_PROGRESS), 1U);
  guest_writes(HADUMP_XS_PROGRESS, std::string(HADUMP_XS_MAX_VALUE + 1, 'x'));
  EXPECT_EQ(store.guest_keys().value().count(HADUMP_XS_PROGRESS), 0U)
      << "more than a guest may say";
  ASSERT_TRUE(store.clear_guest_keys());
  EXPECT_TRUE(store.guest_keys().value().empty());

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
