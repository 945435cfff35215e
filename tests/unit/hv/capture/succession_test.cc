// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/succession.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

namespace hadump {
namespace {

TEST(SuccessionTest, EveryUuidIsAnother) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string uuid = new_uuid();
    EXPECT_THAT(uuid, testing::MatchesRegex(
                          "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_TRUE(seen.insert(uuid).second);
  }
}

}  // namespace
}  // namespace hadump
