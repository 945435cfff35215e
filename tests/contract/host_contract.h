// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include "hv/domain/host.h"

namespace hadump {

inline std::optional<DomainStatus> find_domain(Host& host, unsigned domid) {
  auto domains = host.domains();
  if (!domains) return {};
  const auto found = std::find_if(domains->begin(), domains->end(),
                                  [&](const DomainStatus& one) { return one.domid == domid; });
  if (found == domains->end() || found->dying) return {};
  return *found;
}

inline void check_openings_are_apart(Host& host, const DomainStatus& status) {
  auto first = host.open(status.domid);
  ASSERT_TRUE(first) << first.error().what();
  auto second = host.open(status.domid);
  ASSERT_TRUE(second) << second.error().what();
  first->reset();
  EXPECT_EQ((*second)->domain().status().value().uuid, status.uuid);
  EXPECT_GT((*second)->memory().total_frames().value(), 0U);
}

inline void check_core_is_dumped(Host& host, unsigned domid, const std::string& core) {
  const auto dumped = host.dump_core(domid, core);
  ASSERT_TRUE(dumped) << dumped.error().what();
  EXPECT_GT(std::filesystem::file_size(core), 0U);
  std::filesystem::remove(core);
}

/// Set aside, it keeps its number and its state, and its successor may have the rest.
inline void check_set_aside(Host& host, unsigned domid) {
  const std::string kept = "0c5f0dd5-3a6b-4e5a-9a52-3a0a5d4e6f01";
  for (const char* attempt : {"first", "again"}) {
    const auto done = host.set_aside(domid, kept);
    ASSERT_TRUE(done) << attempt << ": " << done.error().what();
  }
  const auto aside = find_domain(host, domid);
  ASSERT_TRUE(aside);
  EXPECT_TRUE(aside->shutdown);
  EXPECT_EQ(aside->uuid, kept);
  EXPECT_FALSE(host.config(domid)) << "the toolstack had it by the UUID";
}

/// With less memory than it is described with, to begin with.
/// @param config  of the domain that it replaces. @param created  is set to its number.
inline void check_successor(Host& host, const DomainConfig& config, unsigned& created) {
  const auto room = host.room_for(config.blueprint, 0);
  ASSERT_TRUE(room) << room.error().what();
  EXPECT_GT(room->full_kib, 0U);
  EXPECT_LE(room->full_kib, config.memory_bytes >> 10) << "what it had, which a balloon may lessen";
  EXPECT_LE(room->kib, room->full_kib);
  EXPECT_EQ(host.room_for(config.blueprint, std::uint64_t{1} << 60)->kib, 0U);
  const auto made = host.create(config.blueprint, room->full_kib * 3 / 4);
  ASSERT_TRUE(made) << made.error().what();
  created = *made;
  const auto target = [&] {
    return host.open(created).value()->store().balloon_target_kib().value();
  };
  EXPECT_EQ(target(), room->full_kib * 3 / 4);
  EXPECT_EQ(host.config(created)->memory_bytes, config.memory_bytes);
  const auto done = host.set_memory(created, room->full_kib);
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(target(), room->full_kib);
  const auto fresh = find_domain(host, created);
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->uuid, config.uuid);
  EXPECT_FALSE(fresh->shutdown);
  EXPECT_EQ(host.config(created).value().name, config.name);
}

/// What every Host must do.
/// @param domid  a domain that has crashed, and that nobody needs any more. Behind this it is gone.
/// @param scratch  a directory with room for its memory; empty: no core is dumped.
inline void check_host_contract(Host& host, unsigned domid, const std::string& scratch) {
  const auto status = find_domain(host, domid);
  ASSERT_TRUE(status);
  ASSERT_TRUE(status->shutdown);
  const auto config = host.config(domid);
  ASSERT_TRUE(config) << config.error().what();
  EXPECT_EQ(config->uuid, status->uuid);
  EXPECT_FALSE(config->blueprint.empty());

  check_openings_are_apart(host, *status);
  if (!scratch.empty()) check_core_is_dumped(host, domid, scratch + "/contract.core");
  check_set_aside(host, domid);
  unsigned created = 0;
  ASSERT_NO_FATAL_FAILURE(check_successor(host, *config, created));

  auto done = host.crash(created);
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_TRUE(find_domain(host, created).value().crashed());
  for (unsigned one : {domid, created}) {
    done = host.destroy(one);
    EXPECT_TRUE(done) << done.error().what();
    EXPECT_FALSE(find_domain(host, one));
    EXPECT_FALSE(host.config(one));
  }
  EXPECT_FALSE(host.destroy(domid)) << "it is gone";
  EXPECT_FALSE(host.create("nonsense", 0));
}

}  // namespace hadump
