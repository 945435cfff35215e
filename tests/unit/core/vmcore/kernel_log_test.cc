// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/kernel_log.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/vmcore/kernel_identity.h"
#include "tests/fakes/linux_machine.h"

namespace hadump {
namespace {

constexpr std::uint64_t kRing = 0xFFFFFFFF82040000, kDescs = kRing + 0x1000,
                        kInfos = kRing + 0x2000;  // linux_machine.cc

std::string log_of(LinuxMachine& machine) {
  const auto log = kernel_log(machine.dump);
  return log ? *log : "error: " + log.error().what();
}

TEST(KernelLog, PrintsRecordsAsDmesgDoes) {
  LinuxMachine machine({});
  machine.add_log(0, "Linux version")
      .add_log(1'234'567'890, "two\nlines")
      .add_log(123'456'000'000'000, "odd \x01 bytes\t");
  machine.finish();
  EXPECT_EQ(log_of(machine),
            "[    0.000000] Linux version\n"
            "[    1.234567] two\n"
            "               lines\n"
            "[123456.000000] odd \\x01 bytes\t\n");
}

TEST(KernelLog, LeavesOutRecordsThatWereBeingWritten) {
  LinuxMachine machine({});
  machine.add_log(0, "first").add_log(1000, "second").add_log(2000, "third");
  machine.finish();
  machine.put64(kDescs + 24, 33);                             // reserved
  machine.put64(kDescs + 48, (std::uint64_t{2} << 62) | 99);  // another turn's
  EXPECT_EQ(log_of(machine), "[    0.000000] first\n");
}

TEST(KernelLog, ClipsTextThatClaimsMoreThanItsBlock) {
  LinuxMachine machine({});
  machine.add_log(0, "12345678");
  machine.finish();
  machine.put64(kRing + 0x2000 + 16, 0xFFFF);
  EXPECT_EQ(log_of(machine), "[    0.000000] 12345678\n");
}

// The head lies where the tail never comes: one turn, then the end.
TEST(KernelLog, ALoopEndsAfterOneTurn) {
  LinuxMachine machine({});
  machine.add_log(0, "only");
  machine.finish();
  machine.put64(kRing + 24, 0x123456789);
  EXPECT_EQ(log_of(machine), "[    0.000000] only\n");
}

TEST(KernelLog, RefusesAbsurdSizes) {
  using testing::HasSubstr;
  LinuxMachine machine({});
  machine.add_log(0, "x");
  machine.finish();
  machine.put64(kRing, 31);
  EXPECT_THAT(log_of(machine), HasSubstr("2^31 records"));
  machine.put64(kRing, 5);
  machine.put64(kRing + 64, 63);
  EXPECT_THAT(log_of(machine), HasSubstr("2^63 bytes"));
  machine.info["SIZE(prb_desc)"] = "8";
  machine.finish();
  EXPECT_THAT(log_of(machine), HasSubstr("contradicts itself"));
  machine.info["SIZE(prb_desc)"] = "99999";
  machine.finish();
  EXPECT_THAT(log_of(machine), HasSubstr("no usable SIZE(prb_desc)"));
  machine.info["SYMBOL(prb)"] = "zz";
  machine.finish();
  EXPECT_THAT(log_of(machine), HasSubstr("no SYMBOL(prb)"));
}

/// Memory that a process needs at its peak to read the log, above what it had before.
std::uint64_t peak_growth(LinuxMachine& machine) {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss);
  };
  int ends[2] = {};
  if (pipe(ends) != 0) return ~std::uint64_t{0};
  const pid_t child = fork();
  if (child == 0) {
    const std::uint64_t before = peak();
    static_cast<void>(kernel_log(machine.dump));
    const std::uint64_t kib = peak() - before;
    _exit(write(ends[1], &kib, sizeof kib) == sizeof kib ? 0 : 1);
  }
  std::uint64_t kib = ~std::uint64_t{0} >> 10;
  close(ends[1]);
  if (read(ends[0], &kib, sizeof kib) != sizeof kib) ADD_FAILURE() << "the child is silent";
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return kib << 10;
}

// Hardly a page of such a ring is there: only what the records need is read.
TEST(KernelLog, NeedsLittleMemoryWhateverTheRingClaims) {
  LinuxMachine machine({});
  machine.add_log(0, "only");
  machine.info["SIZE(prb_desc)"] = "512";
  machine.info["SIZE(printk_info)"] = "512";
  machine.finish();
  machine.put64(kRing, 20);
  const std::uint64_t id = std::uint64_t{1} << 20;
  machine.put64(kRing + 24, id);
  machine.put64(kRing + 32, id);
  machine.put64(kDescs, (std::uint64_t{2} << 62) | id);
  EXPECT_EQ(log_of(machine), "[    0.000000] only\n");
  EXPECT_LT(peak_growth(machine), 16_MiB);
}

// Records that all claim the same text, of 64 KiB of line breaks.
TEST(KernelLog, KeepsTheNewestOfMoreThanALogMayHave) {
  constexpr std::uint64_t kRecords = 32, kSameText = kRing + 0x100000, kLength = 0xFFFF;
  constexpr std::uint64_t kOldest = 18'446'744'073'000'000'000U;
  LinuxMachine machine({});
  for (std::uint64_t i = 0; i < kRecords; ++i) machine.add_log(kOldest + i * 1000, "x");
  machine.finish();
  for (std::uint64_t at = 0; at < 128_KiB; at += kFrameSize) machine.map(kSameText + at, 0x100000);
  machine.put(kSameText, std::vector<std::byte>(kFrameSize, std::byte{'\n'}));
  machine.put64(kRing + 64, 17);
  machine.put64(kRing + 72, kSameText);
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    machine.put64(kDescs + i * 24 + 8, 0);
    machine.put64(kDescs + i * 24 + 16, 8 + kLength);
    machine.put64(kInfos + i * 32 + 16, kLength);
  }
  const std::uint64_t prefix = 21, record = prefix + kLength * (1 + prefix) + 1;
  const std::uint64_t kept = kMaxLogBytes / record;
  ASSERT_LT(kept, kRecords);
  const std::string log = log_of(machine);
  const std::string_view notice = "(older records left out)\n";
  EXPECT_EQ(log.size(), notice.size() + kept * record);
  EXPECT_EQ(log.substr(0, notice.size() + prefix),
            fmt::format("{}[18446744073.{:06}] ", notice, kRecords - kept));
  EXPECT_EQ(log.substr(log.size() - record, prefix),
            fmt::format("[18446744073.{:06}] ", kRecords - 1));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // They need memory, too.
  EXPECT_LT(peak_growth(machine), kMaxLogBytes + 16_MiB);
#endif
}

TEST(CrashIdentity, TakesWhatVmcoreinfoSays) {
  const auto info = Vmcoreinfo::parse("OSRELEASE=6.1.0\nBUILD-ID=abcdef\nCRASHTIME=1763690000\n");
  const CrashIdentity identity = crash_identity(*info);
  EXPECT_EQ(identity.release, "6.1.0");
  EXPECT_EQ(identity.build_id, "abcdef");
  EXPECT_EQ(identity.crash_time_s, 1763690000u);
  EXPECT_EQ(crash_identity(*Vmcoreinfo::parse("CRASHTIME=soon\n")).crash_time_s, std::nullopt);
}

// Both are shown on a terminal, and the release goes into the header of a dump.
TEST(CrashIdentity, IsPrintableWhateverTheGuestWrote) {
  const auto info = Vmcoreinfo::parse("OSRELEASE=6.1\x1b[2J\nBUILD-ID=ab\xff\n");
  EXPECT_EQ(crash_identity(*info).release, "6.1?[2J");
  EXPECT_EQ(crash_identity(*info).build_id, "ab?");
  InMemoryVmcore dump{{{Gfn{0}, Gfn{1}}}};
  dump.set_vmcoreinfo("OSRELEASE=6.1\x1b[2J\n");
  EXPECT_EQ(identify_kernel(dump).release, "6.1?[2J");
}

}  // namespace
}  // namespace hadump
