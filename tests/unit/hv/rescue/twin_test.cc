// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/twin.h"

#include <gmock/gmock.h>

#include "hv/xen/xen_domain.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

DomainStatus twin_of(const TwinMark& mark, unsigned domid) {
  std::uint8_t uuid[16] = {};
  std::copy(mark.begin(), mark.end(), uuid);
  uuid[15] = static_cast<std::uint8_t>(domid);
  DomainStatus status;
  status.domid = domid;
  status.uuid = uuid_text(uuid);
  status.paused = true;
  return status;
}

TEST(LeftoverTwins, AreThoseOfThisStateDirectory) {
  const TwinMark ours = twin_mark(0x801, 4711);
  const TwinMark others[] = {twin_mark(0x801, 4712), twin_mark(0x802, 4711)};
  const DomainStatus domains[] = {twin_of(ours, 3), twin_of(others[0], 4), twin_of(others[1], 5),
                                  twin_of(ours, 6)};
  EXPECT_THAT(leftover_twins(domains, ours), ElementsAre(3, 6));
  EXPECT_THAT(leftover_twins(domains, others[0]), ElementsAre(4));
  EXPECT_EQ(ours, twin_mark(0x801, 4711));
}

// A twin is never started; a domain that was cannot be one, whatever its UUID says.
TEST(LeftoverTwins, DoNotRun) {
  const TwinMark ours = twin_mark(1, 2);
  DomainStatus runs = twin_of(ours, 3);
  runs.paused = false;
  DomainStatus crashed = twin_of(ours, 4);
  crashed.shutdown = true;
  DomainStatus dying = twin_of(ours, 5);
  dying.dying = true;
  EXPECT_THAT(leftover_twins(std::vector{runs, crashed, dying}, ours), IsEmpty());
}

}  // namespace
}  // namespace hadump
