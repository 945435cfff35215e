// SPDX-License-Identifier: GPL-2.0-or-later
// Crash runs of a guest whose memory other domains have mapped.
#include <gmock/gmock.h>

#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;

using CrashRunGrantsTest = CrashRunTest;

// What a dead kernel has granted is the next kernel's memory.
TEST_F(CrashRunGrantsTest, GivesTheGuestOtherMemoryWhereADomainStillMapsIt) {
  const Gfn in_window{kWindow / 2 >> kFrameShift};
  const Gfn held{64 * 97 * 8};  // that the dump is looked at for
  FrameSet frames{{in_window, Gfn{in_window.value + 1}}, {held, Gfn{held.value + 1}}};
  frames.insert({Gfn{1ULL << 40}, Gfn{(1ULL << 40) + 1}});  // what a guest may have written there
  const FrameSet writable{{held, Gfn{held.value + 1}}};
  domain.hold_grants({{.domid = 9, .frames = frames, .writable = writable}});
  ASSERT_TRUE(run());
  EXPECT_THAT(warnings, testing::Contains(testing::AllOf(
                            HasSubstr("still mapped, by domain 9 (3 pages, 1"),
                            HasSubstr("1 writable)"), HasSubstr("has other memory there now"))));
  EXPECT_EQ(guest.moved(in_window), 1U);
  EXPECT_EQ(guest.moved(held), 1U);
  EXPECT_FALSE(guest.exists(record.save_area.end)) << "nothing is left of it";
  expect_dump_is_true();
  domain.hold_grants({});
  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_EQ(guest.limit_kib(), limit_before);
}

// Another domain would write to the next kernel's memory, so that is not started.
TEST_F(CrashRunGrantsTest, DoesNotStartOnMemoryThatAnotherDomainMaps) {
  const FrameSet frames{{Gfn{64}, Gfn{65}}};
  domain.hold_grants({{.domid = 9, .frames = frames, .writable = frames}});
  guest.fail_next("move");
  const auto failed = run();
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().what(),
              testing::AllOf(HasSubstr("still mapped, by domain 9"), HasSubstr("move")));
  EXPECT_TRUE(record.committed) << "it is tried again";
  EXPECT_FALSE(record.replaced.empty());
  ASSERT_TRUE(run());
  EXPECT_EQ(record.step, Step::kStarted);
  EXPECT_TRUE(record.replaced.empty());
  EXPECT_GE(guest.moved(Gfn{64}), 1U);
  EXPECT_EQ(guest.leaked_frames(), 0U);
  expect_dump_is_true();
}

// The save area is read before the boot goes on, so what was not finished comes first.
TEST_F(CrashRunGrantsTest, FinishesWithTheSaveAreaBeforeItIsRead) {
  store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
  const Gfn header = frame_of(GuestPhys{0x10000000});
  const FrameSet frames{{header, Gfn{header.value + 3}}};
  domain.hold_grants({{.domid = 9, .frames = frames, .writable = frames}});
  guest.fail_next("move");
  ASSERT_FALSE(run());
  ASSERT_EQ(record.mode, SaveMode::kRegistered);
  ASSERT_FALSE(record.replaced.empty());
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_TRUE(read_snapshot(guest, record.save_area, /*check_low=*/true));
  EXPECT_EQ(guest.leaked_frames(), 0U);
}

TEST_F(CrashRunGrantsTest, LeavesNoSpareMemoryWhenTheOtherDomainLetsGo) {
  const FrameSet frames{{Gfn{64}, Gfn{65}}};
  domain.hold_grants({{.domid = 9, .frames = frames, .writable = frames}});
  records.on_call([&](const std::string&) -> Result<> {
    return record.replaced.empty() ? Result<>() : fail_os(ENOSPC, "writing the record");
  });
  ASSERT_FALSE(run());
  records.on_call(no_hook());
  record.replaced = {};  // as on the disk
  domain.hold_grants({});
  ASSERT_TRUE(run());
  EXPECT_FALSE(guest.exists(record.save_area.end));
  EXPECT_EQ(guest.leaked_frames(), 0U);
}

TEST_F(CrashRunGrantsTest, WaitsForHostMemoryToReplaceWhatAnotherDomainMaps) {
  const FrameSet frames{{Gfn{64}, Gfn{66}}};
  domain.hold_grants({{.domid = 9, .frames = frames, .writable = frames}});
  policy.keep_free_bytes = 64_MiB;
  records.on_call([&](const std::string&) -> Result<> {
    if (record.step == Step::kBackendsDisconnected)
      guest.set_free_frames((64_MiB >> kFrameShift) + 1);
    return {};
  });
  const auto failed = run();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::kNoSpace);
  records.on_call(no_hook());
  guest.set_free_frames((64_MiB >> kFrameShift) + 2);
  EXPECT_TRUE(run());
}

// A table that is forged from end to end: the next kernel's own memory is safe all the same, and
// the log has one line.
TEST_F(CrashRunGrantsTest, SaysInOneLineWhoHasMappedVeryMuch) {
  std::vector<HeldGrants> held;
  const std::uint64_t pages = (kRam >> kFrameShift) / 20;
  for (unsigned domid = 1; domid <= 20; ++domid) {
    FrameSet frames;  // every 20th page
    for (std::uint64_t i = 0; i < pages; ++i) {
      const Gfn gfn{i * 20 + domid};
      frames.insert({gfn, Gfn{gfn.value + 1}});
    }
    held.push_back({.domid = domid, .frames = frames, .writable = {}});
  }
  domain.hold_grants(held);
  ASSERT_TRUE(run());
  int lines = 0;
  for (const std::string& line : warnings) lines += line.find("still mapped") != std::string::npos;
  EXPECT_EQ(lines, 1);
  EXPECT_THAT(warnings,
              testing::Contains(testing::AllOf(HasSubstr("domain 8 ("), HasSubstr("and 12 more"),
                                               testing::Not(HasSubstr("domain 9 (")))));
  EXPECT_THAT(warnings, testing::Contains(HasSubstr("more than are replaced (32768)")));
  const auto saved = read_snapshot(guest, record.save_area, /*check_low=*/true);
  ASSERT_TRUE(saved);
  std::uint64_t kept = 0;
  for (const BootRegion& region : saved->node.boot_regions)
    for (Gfn gfn = region.range.begin; gfn < region.range.end; ++gfn.value)
      kept += gfn.value > 1 && gfn.value <= pages * 20 && guest.moved(gfn) == 0;
  EXPECT_EQ(kept, 0U) << "pages that the next kernel begins with";
  expect_dump_is_true();
}

}  // namespace
}  // namespace hadump
