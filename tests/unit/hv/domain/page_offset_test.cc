// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/page_offset.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

constexpr std::uint64_t kTop = 0x10000, kUpper = 0x12000, kMiddle = 0x13000, kLowest = 0x14000;
constexpr std::uint64_t kPresent = 1, kLarge = 0x80;

class CountingGuest : public InMemoryGuest {
 public:
  using InMemoryGuest::InMemoryGuest;
  Result<FrameMapping> map(FrameRange range, Access access) const override {
    ++mapped;
    return InMemoryGuest::map(range, access);
  }
  mutable int mapped = 0;
};

class PageOffset : public testing::Test {
 protected:
  void put(std::uint64_t table, unsigned index, std::uint64_t entry) {
    ASSERT_TRUE(
        write_guest(guest, GuestPhys{table + index * 8ULL}, std::as_bytes(std::span(&entry, 1))));
  }
  void fill(std::uint64_t table, std::uint64_t entry) {
    for (unsigned i = 0; i < 512; ++i) put(table, i, entry);
  }
  std::optional<GuestVirt> find() { return find_page_offset(guest, ram, vcpus); }

  CountingGuest guest{{Gfn{0}, Gfn{256}}};
  FrameSet ram{{Gfn{0}, Gfn{256}}};
  std::vector<hadump_vcpu> vcpus = [] {
    hadump_vcpu vcpu{};
    vcpu.cr3 = kTop;
    return std::vector{vcpu};
  }();
};

// Four levels: entry 300 of the top table, entry 5 of the next, a 1 GiB page of physical 0.
TEST_F(PageOffset, IsFoundInAGuestsTablesAndNeverOutsideItsRam) {
  EXPECT_FALSE(find());
  put(kTop, 300, kUpper | kPresent);
  put(kUpper, 5, kLarge | kPresent);
  EXPECT_EQ(find(), GuestVirt{0xffff000000000000 + (300ULL << 39) + (5ULL << 30)});
  put(kTop, 300, 0xfffff000000 | kPresent);  // a table far outside RAM
  EXPECT_FALSE(find());
  put(kTop, 300, kTop | kPresent);  // a loop
  static_cast<void>(find());
  vcpus[0].cr3 = ~0ULL;
  EXPECT_FALSE(find());
}

TEST_F(PageOffset, IsFoundWithFiveLevels) {
  vcpus[0].cr4 = 1 << 12;
  put(kTop, 0x111, kUpper | kPresent);
  put(kUpper, 2, kMiddle | kPresent);
  put(kMiddle, 3, kLarge | kPresent);
  EXPECT_EQ(find(), GuestVirt{0xff11000000000000 + (2ULL << 39) + (3ULL << 30)});
}

TEST_F(PageOffset, TheFirstFramesMayBeMissing) {
  put(kTop, 300, kUpper | kPresent);
  put(kUpper, 5, kMiddle | kPresent);
  put(kMiddle, 0, kLowest | kPresent);
  put(kLowest, 16, 0x10000 | kPresent);
  EXPECT_EQ(find(), GuestVirt{0xffff000000000000 + (300ULL << 39) + (5ULL << 30)});
}

// What is mapped first begins with other memory: not the direct map.
TEST_F(PageOffset, IsNotTakenFromAMappingOfOtherMemory) {
  put(kTop, 300, kUpper | kPresent);
  put(kUpper, 5, (1ULL << 30) | kLarge | kPresent);
  EXPECT_FALSE(find());
}

// User space's table, the page after the kernel's, has entry code only.
TEST_F(PageOffset, IsFoundFromUserSpace) {
  put(kTop, 300, kUpper | kPresent);
  put(kUpper, 5, kLarge | kPresent);
  put(kTop + kFrameSize, 508, kMiddle | kPresent);  // the entry area of the CPUs
  put(kMiddle, 0, 0x40000000 | kLarge | kPresent);
  vcpus[0].cr3 = (kTop + kFrameSize) | 0x801;  // and a PCID
  EXPECT_TRUE(find());
}

// Four tables can make every address lead to a lowest table that has nothing, and each of a
// thousand vCPUs can have its own.
TEST_F(PageOffset, TablesThatLeadNowhereEnd) {
  fill(kTop, kUpper | kPresent);
  fill(kUpper, kMiddle | kPresent);
  fill(kMiddle, kLowest | kPresent);
  vcpus.resize(1000, vcpus[0]);
  guest.mapped = 0;
  EXPECT_FALSE(find());
  EXPECT_LE(guest.mapped, 4096 + 8);
}

// The same with tables that cannot be read, which are asked for again and again.
TEST_F(PageOffset, TablesThatCannotBeReadEnd) {
  ram.insert({Gfn{256}, Gfn{512}});  // ballooned out
  fill(kTop, kUpper | kPresent);
  fill(kUpper, 0x100000 | kPresent);
  vcpus.resize(1000, vcpus[0]);
  guest.mapped = 0;
  EXPECT_FALSE(find());
  EXPECT_LE(guest.mapped, 4096 + 8);
}

}  // namespace
}  // namespace hadump
