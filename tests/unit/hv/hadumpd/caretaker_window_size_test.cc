// SPDX-License-Identifier: GPL-2.0-or-later
// How the caretaker chooses the window of the next crash.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CaretakerWindowSizeTest : public CaretakerTest {
 protected:
  void says(unsigned domid, const std::string& state) {
    host.at(domid).store.keys[HADUMP_XS_STATE] = state;
  }
};

TEST_F(CaretakerWindowSizeTest, TheWindowFollowsWhatTheBootTook) {
  DomainConfig large = config("web");
  large.memory_bytes = 4_GiB;
  const unsigned domid = known(large);
  const auto published = [&] { return host.at(domid).store.published.at(HADUMP_XS_AGENT_WINDOW); };
  EXPECT_EQ(published(), std::to_string(256_MiB));
  EXPECT_THAT(view("web").window_why, HasSubstr("initrd"));

  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(500_MiB >> 10);
  settle();
  EXPECT_EQ(published(), std::to_string(256_MiB)) << "not registered: it may be booting";
  says(domid, "registered");
  settle();
  EXPECT_EQ(published(), std::to_string(768_MiB));
  EXPECT_EQ(view("web").window_bytes, 768_MiB);
  EXPECT_THAT(view("web").window_why, HasSubstr("500 MiB"));

  crash(domid);
  EXPECT_THAT(windows, ElementsAre(768_MiB));
  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(60_MiB >> 10);
  says(domid, "saving");
  settle();
  EXPECT_EQ(view("web").window_bytes, 768_MiB) << "a boot in a window is no measure";
  says(domid, "registered");
  settle();
  EXPECT_EQ(view("web").window_bytes, 768_MiB) << "nor is it later";
}

TEST_F(CaretakerWindowSizeTest, ANewHadumpdKnowsWhatTheBootTook) {
  DomainConfig large = config("web");
  large.memory_bytes = 4_GiB;
  const unsigned domid = host.add(large);
  says(domid, "registered");
  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(500_MiB >> 10);
  host.at(domid).domain.crash_again();
  settle();
  EXPECT_THAT(windows, ElementsAre(768_MiB));

  says(domid, "saving");
  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(900_MiB >> 10);
  restart();
  settle();
  EXPECT_EQ(view("web").window_bytes, 256_MiB) << "memory is short: that is no measure";
}

// Its guest has given up no memory for a larger one, and is not asked to: between giving the old
// one up and getting the new one it would have none.
TEST_F(CaretakerWindowSizeTest, ARegisteredSaveAreaKeepsItsWindow) {
  set_policies("save-area", "registered");
  DomainConfig large = config("web");
  large.memory_bytes = 4_GiB;
  const unsigned domid = known(large);
  const auto reserve = host.at(domid).store.published.at(HADUMP_XS_AGENT_RESERVE);
  says(domid, "registered");
  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(500_MiB >> 10);
  settle();
  restart();
  settle();
  caretaker->reconsider();
  settle();
  EXPECT_EQ(view("web").window_bytes, 256_MiB);
  EXPECT_EQ(host.at(domid).store.published.at(HADUMP_XS_AGENT_RESERVE), reserve);
}

TEST_F(CaretakerWindowSizeTest, WhatAnAdminHasChosenAndWhatIsNonsenseChangeNothing) {
  set_policies("window", "128M");
  const unsigned domid = known(config("web"));
  says(domid, "registered");
  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(300_MiB >> 10);
  settle();
  EXPECT_EQ(view("web").window_bytes, 128_MiB);
  EXPECT_EQ(view("web").window_why, "");

  set_policies("window", "auto");
  caretaker->reconsider();
  settle();
  EXPECT_EQ(view("web").window_bytes, 384_MiB) << "a block must be left to hold";
  host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = std::to_string(60_MiB >> 10);
  caretaker->reconsider();
  settle();
  for (const char* nonsense : {"-1", "1e9", "", "99999999999999999999", "524289", "0x1000"}) {
    host.at(domid).store.keys[HADUMP_XS_BOOT_MEMORY] = nonsense;
    settle();
    EXPECT_EQ(view("web").window_bytes, 256_MiB) << nonsense;
  }
}

}  // namespace
}  // namespace hadump
