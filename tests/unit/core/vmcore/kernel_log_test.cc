#include "core/vmcore/kernel_log.h"

#include <gmock/gmock.h>

#include "core/vmcore/kernel_identity.h"
#include "tests/fakes/linux_machine.h"

namespace hadump {
namespace {

constexpr std::uint64_t kRing = 0xFFFFFFFF82040000, kDescs = kRing + 0x1000;  // linux_machine.cc

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
