// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/address_space.h"

#include <gmock/gmock.h>

#include "tests/fakes/linux_machine.h"

namespace hadump {
namespace {

AddressSpace space_of(LinuxMachine& machine) {
  const InMemoryVmcore& dump = machine.finish();
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(dump.layout()));
  auto space = AddressSpace::open(dump, *info);
  if (!space) {
    ADD_FAILURE() << space.error().what();
    std::abort();
  }
  return *space;
}

Error refusal(LinuxMachine& machine) {
  const InMemoryVmcore& dump = machine.finish();
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(dump.layout()));
  auto space = AddressSpace::open(dump, *info);
  return space ? Error(ErrorCode::kOs, "opened") : space.error();
}

TEST(AddressSpace, WalksFourAndFiveLevels) {
  for (const unsigned levels : {4u, 5u}) {
    LinuxMachine machine({.levels = levels});
    machine.map(0xFFFFC90000123000, 0x5000);
    machine.map(0xFFFFC90000400000, 0x600000, /*large=*/true);
    const AddressSpace space = space_of(machine);
    EXPECT_EQ(space.levels(), levels);
    const auto small = space.translate(GuestVirt{0xFFFFC90000123456});
    ASSERT_TRUE(small) << small.error().what();
    EXPECT_EQ(small->phys, GuestPhys{0x5456});
    EXPECT_EQ(small->bytes, 0x1000u - 0x456u);
    const auto large = space.translate(GuestVirt{0xFFFFC90000500000});
    ASSERT_TRUE(large) << large.error().what();
    EXPECT_EQ(large->phys, GuestPhys{0x700000});
    EXPECT_EQ(large->bytes, 1_MiB);
  }
}

TEST(AddressSpace, ReadsAcrossPagesThatAreApart) {
  LinuxMachine machine({});
  machine.map(0xFFFFC90000000000, 0x9000);
  machine.map(0xFFFFC90000001000, 0x7000);
  machine.put64(0xFFFFC90000000FFC, 0x8877665544332211);
  const AddressSpace space = space_of(machine);
  const auto value = space.read_value<std::uint64_t>(GuestVirt{0xFFFFC90000000FFC});
  ASSERT_TRUE(value) << value.error().what();
  EXPECT_EQ(*value, 0x8877665544332211u);
}

TEST(AddressSpace, SaysWhatIsNotMappedAndWhatIsNotThere) {
  LinuxMachine machine({});
  machine.map(0xFFFFC90000000000, 0x7000000000);  // past the end of memory
  const AddressSpace space = space_of(machine);
  EXPECT_EQ(space.translate(GuestVirt{0xFFFFC90000001000}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(space.read_value<int>(GuestVirt{0xFFFFC90000000000}).error().code(),
            ErrorCode::kBadData);
}

// Kernels before v5.11.
TEST(AddressSpace, FindsTheReleaseWhereVmcoreinfoDoesNotSayWhere) {
  LinuxMachine machine({});
  machine.info.erase("OFFSET(uts_namespace.name)");
  EXPECT_EQ(space_of(machine).levels(), 4u);
}

// The direct map of this machine begins where 4-level kernels without KASLR have it.
TEST(AddressSpace, FindsTheDirectMapByTheTables) {
  LinuxMachine machine({});
  EXPECT_EQ(space_of(machine).page_offset(), GuestVirt{0xFFFF888000000000});
}

TEST(AddressSpace, PrefersTheSegmentsForTheDirectMap) {
  LinuxMachine machine({});
  machine.dump.add_segment({GuestVirt{0xFFFFFFFF81000000}, GuestPhys{0x1000000}, 1, 1, 0});
  machine.dump.add_segment({GuestVirt{0xFFFF9A0000001000}, GuestPhys{0x1000}, 1, 1, 0});
  EXPECT_EQ(space_of(machine).page_offset(), GuestVirt{0xFFFF9A0000000000});
}

TEST(AddressSpace, ListsWhatItReadsAndTheTablesOnTheWay) {
  LinuxMachine machine({});
  machine.map(0xFFFFC90000123000, 0x5000);
  machine.map(0xFFFFC90000124000, 0x9000);
  const AddressSpace space = space_of(machine);
  FrameSet frames;
  space.add_frames(GuestVirt{0xFFFFC90000123FF8}, 8, frames);
  EXPECT_EQ(frames.frames(), 5u);
  EXPECT_TRUE(frames.contains(machine.top_table()));
  EXPECT_TRUE(frames.contains(Gfn{5}));
  space.add_frames(GuestVirt{0xFFFFC90000123FF8}, 9, frames);
  EXPECT_EQ(frames.frames(), 6u);
  EXPECT_TRUE(frames.contains(Gfn{9}));
  space.add_frames(GuestVirt{0xFFFFC90000125000}, 1, frames);
  EXPECT_EQ(frames.frames(), 6u) << "nothing is mapped there";
  // Where the release is.
  EXPECT_EQ(space.metadata().frames(), 5u);
  EXPECT_TRUE(space.metadata().contains(machine.top_table()));
}

// QEMU once wrote phys_base 0 for every guest: then the tables are somewhere else.
TEST(AddressSpace, RefusesAWrongPhysBase) {
  LinuxMachine machine({});
  machine.info["NUMBER(phys_base)"] = "0";
  const Error error = refusal(machine);
  EXPECT_THAT(error.what(), testing::HasSubstr("reading the kernel's release"));

  LinuxMachine other({});
  other.info["OSRELEASE"] = "5.10.0-test";
  EXPECT_THAT(refusal(other).what(), testing::HasSubstr("phys_base may be wrong"));
}

TEST(AddressSpace, RefusesMissingAndAbsurdRoots) {
  LinuxMachine machine({});
  machine.info.erase("SYMBOL(init_top_pgt)");
  EXPECT_EQ(refusal(machine).code(), ErrorCode::kNotFound);
  machine.info["SYMBOL(swapper_pg_dir)"] = "1000";
  EXPECT_EQ(refusal(machine).code(), ErrorCode::kBadData);
}

// A table whose entries point at itself gives an end after as many steps as there are levels.
TEST(AddressSpace, TablesInALoopEnd) {
  LinuxMachine machine({});
  AddressSpace space = space_of(machine);
  const std::uint64_t self = address_of(machine.top_table()).value | 3;
  machine.dump.put(GuestPhys{address_of(machine.top_table()).value + 8 * 300},
                   std::as_bytes(std::span(&self, 1)));
  EXPECT_FALSE(space.read_value<int>(GuestVirt{0xFFFF960000000000}) &&
               space.translate(GuestVirt{0xFFFF960000000000})->phys.value == 0);
}

// Four tables can make all addresses lead to a lowest table that has nothing: looking for the
// direct map must not take a step for every page of the address space.
TEST(AddressSpace, EmptyTablesEverywhereEnd) {
  LinuxMachine machine({});
  const InMemoryVmcore& dump = machine.finish();
  constexpr std::uint64_t kUpper = 0x100000, kMiddle = 0x101000, kEmpty = 0x102000;
  const auto fill = [&](std::uint64_t table, std::size_t from, std::size_t to, std::uint64_t next) {
    const std::vector<std::uint64_t> entries(to - from, next | 3);
    machine.dump.put(GuestPhys{table + 8 * from}, std::as_bytes(std::span(entries)));
  };
  fill(address_of(machine.top_table()).value, 256, 508, kUpper);
  fill(kUpper, 0, 512, kMiddle);
  fill(kMiddle, 0, 512, kEmpty);
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(dump.layout()));
  const auto space = AddressSpace::open(dump, *info);
  ASSERT_TRUE(space) << space.error().what();
  EXPECT_EQ(space->page_offset(), std::nullopt);
}

}  // namespace
}  // namespace hadump
