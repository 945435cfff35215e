// SPDX-License-Identifier: GPL-2.0-or-later
// The dump that waits in a domain, read by the host after the guest has died in its window.
#include "hv/rescue/waiting_memory.h"

#include <gmock/gmock.h>

#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class WaitingMemoryTest : public CrashRunTest {
 protected:
  // What the second kernel leaves in its window.
  void die_in_window() {
    for (std::uint64_t gfn = 0; gfn < kWindow >> kFrameShift; gfn += 64)
      guest.fill(Gfn{gfn}, std::byte{0xff});
    guest.fill(Gfn{512_MiB >> kFrameShift}, std::byte{0xff});  // the tail
    domain.crash_again();
  }
  Result<WaitingMemory> look() { return look_at_waiting_memory(guest, config, record); }
  // The first byte of a frame; -1: not in the dump.
  int byte_of(const DomainVmcore& dump, Gfn gfn) {
    std::vector<std::byte> page(kFrameSize);
    FrameStatus status{};
    EXPECT_TRUE(dump.read(gfn, page, {&status, 1}));
    return status == FrameStatus::kRead ? std::to_integer<int>(page[0]) : -1;
  }
};

TEST_F(WaitingMemoryTest, IsTheFirstKernelsMemory) {
  ASSERT_TRUE(run());
  die_in_window();
  const auto waiting = look();
  ASSERT_TRUE(waiting) << waiting.error().what();
  EXPECT_THAT(waiting->lacks, IsEmpty());
  EXPECT_EQ(waiting->facts.vcpus.size(), domain.cpu_state()->vcpus.size());
  const DomainVmcore dump(guest, waiting->facts);
  for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64)
    ASSERT_EQ(byte_of(dump, Gfn{gfn}), std::to_integer<int>(mark(gfn))) << gfn;
  // Across the end of the window, in one call and by mapping.
  const Gfn border{kWindow >> kFrameShift};
  std::vector<std::byte> pages(128 * kFrameSize);
  std::vector<FrameStatus> status(128);
  ASSERT_TRUE(dump.read(Gfn{border.value - 64}, pages, status));
  EXPECT_EQ(pages[0], mark(border.value - 64));
  EXPECT_EQ(pages[64 * kFrameSize], mark(border.value));
  const auto view = dump.map({Gfn{border.value - 64}, Gfn{border.value + 64}});
  ASSERT_TRUE(view) << view.error().what();
  EXPECT_EQ(view->range().end, border);
  EXPECT_EQ(view->bytes()[0], mark(border.value - 64));
}

TEST_F(WaitingMemoryTest, LacksWhatTheGuestHasTakenBack) {
  ASSERT_TRUE(run());
  const auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  const std::uint8_t released = HADUMP_BLOCK_RELEASED;
  ASSERT_TRUE(write_guest(guest, GuestPhys{saved->node.block_table.address.value + 2},
                          std::as_bytes(std::span(&released, 1))));
  die_in_window();
  const auto waiting = look();
  ASSERT_TRUE(waiting) << waiting.error().what();
  ASSERT_THAT(waiting->lacks, SizeIs(1));
  EXPECT_THAT(waiting->lacks[0].second, HasSubstr("taken back 128 MiB"));
  const DomainVmcore dump(guest, waiting->facts);
  EXPECT_EQ(byte_of(dump, Gfn{256_MiB >> kFrameShift}), -1);
  EXPECT_EQ(byte_of(dump, Gfn{384_MiB >> kFrameShift}),
            std::to_integer<int>(mark(384_MiB >> kFrameShift)));
}

TEST_F(WaitingMemoryTest, SaysWhatTheGuestHasDamaged) {
  ASSERT_TRUE(run());
  die_in_window();
  const Gfn low{record.save_area.end.value - (kWindow >> kFrameShift) / 2};
  guest.fill(low, std::byte{0xee});
  const auto waiting = look();
  ASSERT_TRUE(waiting) << waiting.error().what();
  ASSERT_THAT(waiting->lacks, SizeIs(1));
  EXPECT_THAT(waiting->lacks[0].second, HasSubstr("wrong checksum"));
  guest.fill(Gfn{record.save_area.begin.value + 1}, std::byte{0xee});  // the first section
  EXPECT_EQ(look().error().code(), ErrorCode::kBadData);
}

TEST_F(WaitingMemoryTest, IsNobodyElsesDump) {
  EXPECT_EQ(look().error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(run());
  die_in_window();
  record.dump_id = {7};
  EXPECT_EQ(look().error().code(), ErrorCode::kBadData);
}

}  // namespace
}  // namespace hadump
