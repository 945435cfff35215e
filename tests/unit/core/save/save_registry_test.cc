// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_registry.h"

#include <gmock/gmock.h>

#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

using testing::ElementsAre;

TEST(SaveRegistry, KnowsTheNewestFirstAndForgets) {
  const TemporaryDirectory dir;
  const SaveRegistry registry(dir / "new/state");
  EXPECT_TRUE(registry.journals("id")->empty());
  for (const char* journal : {"/a", "/b", "/a"}) ASSERT_TRUE(registry.add("id", journal));
  ASSERT_TRUE(registry.add("other", "/c"));
  EXPECT_THAT(*registry.journals("id"), ElementsAre("/a", "/b"));
  ASSERT_TRUE(registry.forget("id"));
  ASSERT_TRUE(registry.forget("id"));
  EXPECT_TRUE(registry.journals("id")->empty());
  EXPECT_THAT(*registry.journals("other"), ElementsAre("/c"));
}

}  // namespace
}  // namespace hadump
