// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/crash_run.h"

#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "core/vmcore/vmcoreinfo_note.h"
#include "hv/agent/crash_limit.h"
#include "hv/domain/hvm_guest.h"
#include "hv/rescue/elf_core.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(CrashRunTest, BootsTheGuestWithItsOldMemoryInTheDump) {
  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.step, Step::kStarted);
  expect_dump_is_true();
  EXPECT_EQ(guest.content(frame_of(GuestPhys{16_MiB}))[100], std::byte{0x90});  // the kernel
  EXPECT_EQ(domain.entry(), GuestPhys{16_MiB});
  EXPECT_EQ(domain.pauses(), 0);
}

// Linux does so itself on its way to a kexec crash kernel only, and readers of dumps look for it.
TEST_F(CrashRunTest, NotesInVmcoreinfoWhenTheCrashWas) {
  put_vmcoreinfo();
  ASSERT_TRUE(run());
  const auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  const auto text = text_of_vmcoreinfo_note(vmcoreinfo_note_of(saved->elf_header));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(text.data()), text.size()),
            "OSRELEASE=6.1.0-x\nCRASHTIME=1700000000\n");
}

// The memory is the host's to wait for; the crash is when it was.
TEST_F(CrashRunTest, ALaterAttemptIsOfTheSameCrash) {
  put_vmcoreinfo();
  record.crash_counted = true;
  record.noticed_ms = wall_ms;
  wall_ms += 600'000;
  guest.set_free_frames(1000);
  ASSERT_FALSE(run());
  EXPECT_EQ(record.noticed_ms, 1700000000000U);
  guest.set_free_frames(1_GiB >> kFrameShift);
  ASSERT_TRUE(run());
  EXPECT_EQ(record.noticed_ms, 1700000000000U);
  EXPECT_EQ(record.crash_time, 1700000000U) << "which VMCOREINFO gets as CRASHTIME";
  EXPECT_EQ(record.started_ms, wall_ms);
}

// By `hadumpd --once`, say, whatever the policy is.
TEST_F(CrashRunTest, LeavesAGuestAloneThatCannotBeBootedInPlace) {
  config.kind = &kHvmGuest;
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(history, testing::IsEmpty());
}

// Nobody but us may use the guest's memory when it is reset, and it must be ready when it starts.
TEST_F(CrashRunTest, DisconnectsBeforeTheResetAndStartsLast) {
  ASSERT_TRUE(run());

  EXPECT_THAT(history, ElementsAre("pause", "disconnect", "reset", "reopen_channels", "reconnect",
                                   "reset_cpus", "start"));
}

TEST_F(CrashRunTest, TellsTheNextKernelWhatItMayUse) {
  ASSERT_TRUE(run());

  const std::uint64_t save_bytes = record.save_area.bytes();
  EXPECT_THAT(domain.map(), ElementsAre(MapEntry{0, kWindow, MapType::kRam},
                                        MapEntry{kWindow, 384_MiB, MapType::kHeld},
                                        MapEntry{512_MiB, 1_MiB, MapType::kRam},
                                        MapEntry{0xfc000000, 2 * kFrameSize, MapType::kAcpi},
                                        MapEntry{0xfeff8000, 8 * kFrameSize, MapType::kReserved},
                                        MapEntry{4_GiB, save_bytes, MapType::kHeld}));
}

TEST_F(CrashRunTest, DumpsAHypervisorPageInTheWindow) {
  guest.fill(Gfn{1}, std::byte{0x77}).make_special(Gfn{1});
  ASSERT_TRUE(run());

  EXPECT_EQ(dumped(Gfn{1}), 0x77);
}

// As many notes as vCPUs, so that a note's place says whose it is.
TEST_F(CrashRunTest, KeepsThePlaceOfAVcpuThatWasNeverStarted) {
  domain.add_idle_vcpus(2);
  config.max_vcpus = 4;

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  const auto saved = read_snapshot(guest, record.save_area, true);
  ASSERT_TRUE(saved) << saved.error().what();
  ASSERT_EQ(saved->cpus.vcpus.size(), 4U);
  EXPECT_TRUE(saved->cpus.vcpus[1].flags & HADUMP_VCPU_ONLINE);
  EXPECT_EQ(saved->cpus.vcpus[3].id, 3U);
  EXPECT_EQ(saved->cpus.vcpus[3].flags, 0U);
  Elf64_Phdr notes;
  std::memcpy(&notes, saved->elf_header.data() + sizeof(Elf64_Ehdr), sizeof(notes));
  constexpr std::size_t kNote = sizeof(Elf64_Nhdr) + 8 + 336;
  EXPECT_EQ(notes.p_filesz, 4 * kNote + 16);
}

TEST_F(CrashRunTest, LeavesTheDomainAloneWhenTheHostHasNoMemory) {
  guest.set_free_frames(1000);

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  expect_untouched();
  EXPECT_EQ(record.step, Step::kNone);
  EXPECT_THAT(record.error, HasSubstr("of free memory"));
}

TEST_F(CrashRunTest, LeavesTheDomainAloneWhenTheHostMustKeepItsMemory) {
  guest.set_free_frames(1_GiB >> kFrameShift);
  policy.keep_free_bytes = 1_GiB - 1_MiB;

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(done.error().what(), HasSubstr("must stay free"));
  expect_untouched();
}

TEST_F(CrashRunTest, TakesASmallerWindowWhereTheHostHasNoRoomForTheOneThatWasChosen) {
  policy.window_bytes = 256_MiB;
  policy.least_window_bytes = 128_MiB;
  guest.set_free_frames(200_MiB >> kFrameShift);

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.window_bytes, 128_MiB);
  EXPECT_THAT(warnings, Contains(HasSubstr("no room for a window of 256 MiB")));
}

TEST_F(CrashRunTest, KeepsTheWindowThatAnAdminHasChosen) {
  policy.window_bytes = 256_MiB;
  guest.set_free_frames(200_MiB >> kFrameShift);
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  expect_untouched();

  guest.set_free_frames(300_MiB >> kFrameShift);
  policy.least_window_bytes = 128_MiB;
  ASSERT_TRUE(run());
  EXPECT_EQ(record.window_bytes, 256_MiB) << "there is room";
}

TEST_F(CrashRunTest, AddsNoSaveAreaBeyondTheHostsLimit) {
  policy.may_add_save_area = false;

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("max-save-areas"));
  expect_untouched();
}

TEST_F(CrashRunTest, AddsNoMoreThanTheHostAllowsForAllDomains) {
  policy.window_bytes = 256_MiB;
  policy.least_window_bytes = 128_MiB;
  policy.most_added_bytes = 200_MiB;
  ASSERT_TRUE(run());
  EXPECT_EQ(record.window_bytes, 128_MiB) << "the smaller window fits";
  EXPECT_LE(record.save_area.bytes(), 200_MiB);
}

TEST_F(CrashRunTest, LeavesADomainAloneWhoseSaveAreaIsMoreThanTheHostAllows) {
  policy.most_added_bytes = 100_MiB;

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("max-save-memory"));
  expect_untouched();
}

TEST_F(CrashRunTest, WhatWasAddedLeavesClear) {
  ASSERT_TRUE(run());
  const FrameRange area = record.save_area;
  ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
  EXPECT_FALSE(guest.exists(area.begin));
  EXPECT_EQ(guest.leaked_frames(), 0U);
}

TEST_F(CrashRunTest, WhatIsUndoneLeavesClear) {
  records.stop_after(Step::kLowCopied);
  ASSERT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  record = records.saved.back();
  files.tables.bytes[0x210] ^= std::byte{1};  // so that the next agent gives up

  ASSERT_FALSE(run());

  expect_untouched();
  EXPECT_EQ(guest.leaked_frames(), 0U);
}

TEST_F(CrashRunTest, LeavesTheDomainAloneWhenABackendDoesNotLetGo) {
  links.refuse_to_disconnect();

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("vbd/51712"));
  expect_untouched();
}

TEST_F(CrashRunTest, LeavesTheDomainAloneWhenTheKernelIsNoKernel) {
  files.kernel_bytes.assign(1000, std::byte{0});

  ASSERT_FALSE(run());

  expect_untouched();
  EXPECT_TRUE(history.empty());
}

TEST_F(CrashRunTest, LeavesTheDomainAloneWhenAcpiTablesAreDamaged) {
  files.tables.bytes[0x210] ^= std::byte{1};

  ASSERT_FALSE(run());

  expect_untouched();
}

TEST_F(CrashRunTest, LeavesTheDomainAloneWhenMappingFailsOnce) {
  guest.fail_next("map");

  ASSERT_FALSE(run());

  expect_untouched();
}

// The heart of the promise: killed after any step, the next agent ends with the same dump, or
// begins again on a guest that nothing was done to.
class KilledCrashRunTest : public CrashRunTest, public testing::WithParamInterface<Step> {};

TEST_P(KilledCrashRunTest, IsFinishedByTheNextAgent) {
  records.stop_after(GetParam());
  ASSERT_THROW(static_cast<void>(run()), Killed);
  DomainRecord found = records.saved.back();
  ASSERT_EQ(found.step, GetParam());

  records.go_on();
  const auto done = run(found);

  ASSERT_TRUE(done) << done.error().what();
  record = found;
  EXPECT_EQ(found.step, Step::kStarted);
  expect_dump_is_true();
  EXPECT_EQ(domain.pauses(), 0);
  EXPECT_EQ(found.old_limit_kib, limit_before);
}

// Once the reset has begun, only the save area has the window's old content: nothing that fails
// later may take it away.
class KilledAfterResetTest : public CrashRunTest, public testing::WithParamInterface<Step> {};

TEST_P(KilledAfterResetTest, KeepsTheSnapshotWhenTheNextAgentFails) {
  records.stop_after(GetParam());
  ASSERT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  DomainRecord found = records.saved.back();
  domain.fail_next("reset");
  ASSERT_FALSE(run(found));

  ASSERT_TRUE(run(found));

  record = found;
  expect_dump_is_true();
}

INSTANTIATE_TEST_SUITE_P(LaterSteps, KilledAfterResetTest,
                         testing::Values(Step::kReset, Step::kLoaded, Step::kReconnected,
                                         Step::kVcpusSet));

INSTANTIATE_TEST_SUITE_P(EveryStep, KilledCrashRunTest,
                         testing::Values(Step::kPaused, Step::kVcpusSaved, Step::kMemoryAdded,
                                         Step::kLowCopied, Step::kSnapshotComplete,
                                         Step::kBackendsDisconnected, Step::kReset, Step::kLoaded,
                                         Step::kReconnected, Step::kVcpusSet),
                         [](const auto& step) {
                           std::string name(to_string(step.param));
                           std::erase(name, '-');
                           return name;
                         });

TEST_F(CrashRunTest, NeverBootsADamagedSnapshot) {
  records.stop_after(Step::kSnapshotComplete);
  ASSERT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  record = records.saved.back();
  history.clear();
  guest.fill(Gfn{record.save_area.end.value - 1024}, std::byte{0xee});  // inside LOW

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("checksum"));
  EXPECT_THAT(history, testing::Not(testing::Contains("reset")));
}

TEST_F(CrashRunTest, UsesTheGuestsOwnSaveArea) {
  store.keys = {{"version", "1"},
                {"mode", "registered"},
                {"save-area", "0x10000000 0x9000000"}};  // 256 MiB, 144 MiB long

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.mode, SaveMode::kRegistered);
  EXPECT_EQ(record.save_area, frames_of_bytes(256_MiB, 144_MiB));
  EXPECT_EQ(guest.limit_kib(), limit_before);
  EXPECT_EQ(dumped(Gfn{0}), std::to_integer<int>(mark(0)));
  EXPECT_EQ(dumped(frame_of(GuestPhys{256_MiB})), -1);
  auto saved = read_snapshot(guest, record.save_area, true);
  EXPECT_EQ(saved->node.held,
            (FrameSet{frames_of_bytes(128_MiB, 128_MiB), frames_of_bytes(400_MiB, 112_MiB)}));
}

// SIGHUP, a restart of the agent and `hadump trigger` try one crash again and again.
TEST_F(CrashRunTest, ACrashThatIsTriedAgainIsCountedOnce) {
  DomainPolicy limits;
  limits.max_crashes = 2;
  guest.set_free_frames(1000);
  for (int attempt = 0; attempt < 4; ++attempt) {
    ASSERT_TRUE(count_crash(record, 1000, limits)) << "attempt " << attempt;
    ASSERT_FALSE(run());
    record = *parse_record(to_json(record));  // by the next agent
  }
  EXPECT_THAT(record.crashes, ElementsAre(1000));

  guest.set_free_frames(1U << 20);
  ASSERT_TRUE(run());
  ASSERT_TRUE(count_crash(record, 1001, limits));  // the next crash, in the same dump
  domain.crash_again();
  ASSERT_TRUE(run());

  EXPECT_THAT(record.crashes, ElementsAre(1000, 1001));
  EXPECT_FALSE(count_crash(record, 1002, limits));
}

// Each of these would harm if it were believed.
TEST_F(CrashRunTest, IgnoresHostileRegistrationsAndSaysSo) {
  const GuestKeys hostile[] = {
      {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x0 0x10000000"}},
      {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x8000000 0x200000"}},
      {{"version", "1"}, {"vmcoreinfo", "0xffffffffffffffff 0x1000"}},
  };
  for (const GuestKeys& keys : hostile) {
    record = {};
    record.uuid = "u";
    store.keys = keys;
    warnings.clear();
    ASSERT_TRUE(run());
    EXPECT_EQ(record.mode, SaveMode::kAdded);
    EXPECT_THAT(warnings, testing::Contains(HasSubstr("ignoring the guest's registration")));
    ASSERT_TRUE(finish_dump(domain, guest, store, records, record, 5));
    domain.crash_again();
  }
}

// Asked of a kernel that hung, or has crashed over it.
TEST_F(CrashRunTest, TheNextKernelIsNotAskedForWhatTheLastOneWas) {
  store.request = "poweroff";
  ASSERT_TRUE(run());
  EXPECT_EQ(store.request, "");
}

}  // namespace
}  // namespace hadump
