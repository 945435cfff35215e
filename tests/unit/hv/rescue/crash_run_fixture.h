// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "hv/domain/pvh_guest.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/finish_dump.h"
#include "tests/fakes/boot_file_samples.h"
#include "tests/fakes/in_memory_domain.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {

inline constexpr std::uint64_t kRam = 512_MiB + 1_MiB;  // a tail of 1 MiB
inline constexpr std::uint64_t kWindow = 128_MiB;

// A crashed guest: every 64th frame has a content of its own.
class CrashRunTest : public testing::Test {
 protected:
  CrashRunTest() {
    guest.add(frames_of_bytes(0, kRam)).add(kSpecialFrames);
    guest.add({kAcpiFrames.begin, Gfn{kAcpiFrames.begin.value + 9}});
    for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64)
      guest.fill(Gfn{gfn}, mark(gfn));
    guest.make_special(Gfn{1});
    ASSERT_TRUE_OR_DIE(guest.set_limit_kib(limit_before));
    domain.set_memory(guest);
    files.kernel_bytes = sample_kernel();
    files.ramdisk_bytes.assign(100000, std::byte{0x44});
    files.tables = sample_acpi_tables();
    store.target_kib = kRam >> 10;
    config.name = "guest";
    config.kind = &kPvhGuest;
    config.memory_bytes = kRam;
    config.max_vcpus = 2;
    config.cmdline = "root=/dev/xvda";
    record.uuid = "u";
  }
  static void ASSERT_TRUE_OR_DIE(const Result<>& result) { EXPECT_TRUE(result); }
  static std::byte mark(std::uint64_t gfn) { return static_cast<std::byte>(gfn / 64 % 250 + 1); }

  // So that nobody searches all of a large guest for it.
  void put_vmcoreinfo() {
    struct {
      Elf64_Nhdr header{11, 17, 0};
      char name[12] = "VMCOREINFO";
      char text[20] = "OSRELEASE=6.1.0-x";
    } const note;
    ASSERT_TRUE(write_guest(guest, GuestPhys{2_MiB}, std::as_bytes(std::span(&note, 1))));
    store.keys = {{"version", "1"}, {"vmcoreinfo", "0x200000 0x1000"}};
  }

  Result<> run(DomainRecord& record_now) {
    CrashWorld world{domain,
                     guest,
                     links,
                     store,
                     files,
                     records,
                     [this] { return std::chrono::nanoseconds(++clock); },
                     [this] { return wall_ms; },
                     [this] {
                       return DumpId{next_dump_id, 2, 3};
                     },
                     [this](const std::string& text) { warnings.push_back(text); },
                     reached};
    return CrashRun(world, policy, config).run(record_now);
  }
  Result<> run() { return run(record); }

  // What the guest was booted with: struct hvm_start_info has its address at 24.
  std::string cmdline() {
    std::uint64_t at = 0;
    std::string text(2048, '\0');
    const GuestPhys pointer{domain.start_info().value + 24};
    if (!read_guest(guest, pointer, std::as_writable_bytes(std::span(&at, 1))) ||
        !read_guest(guest, GuestPhys{at}, std::as_writable_bytes(std::span(text))))
      return "unreadable";
    return text.c_str();
  }

  // The byte that the dump has for a frame, found as /proc/vmcore would; -1 when it has none.
  int dumped(Gfn gfn) {
    const auto saved = read_snapshot(guest, record.save_area, /*check_low=*/false);
    if (!saved) return -2;
    const std::uint64_t address = address_of(gfn).value;
    Elf64_Ehdr header;
    std::memcpy(&header, saved->elf_header.data(), sizeof(header));
    for (unsigned i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr segment;
      std::memcpy(&segment, saved->elf_header.data() + header.e_phoff + i * sizeof(segment),
                  sizeof(segment));
      if (segment.p_type != PT_LOAD || address < segment.p_paddr ||
          address >= segment.p_paddr + segment.p_filesz)
        continue;
      const GuestPhys where{segment.p_offset + address - segment.p_paddr};
      return std::to_integer<int>(guest.content(frame_of(where))[0]);
    }
    return -1;
  }
  void expect_dump_is_true() {
    EXPECT_TRUE(read_snapshot(guest, record.save_area, /*check_low=*/true));
    for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64 * 97)
      ASSERT_EQ(dumped(Gfn{gfn}), std::to_integer<int>(mark(gfn))) << "frame " << gfn;
  }
  void expect_untouched() {
    for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += 64)
      ASSERT_EQ(guest.content(Gfn{gfn})[0], mark(gfn)) << "frame " << gfn;
    EXPECT_FALSE(guest.exists(Gfn{4_GiB >> kFrameShift}));
    EXPECT_EQ(guest.limit_kib(), limit_before);
    EXPECT_EQ(domain.pauses(), 0);
  }

  const std::uint64_t limit_before = 2U << 20;
  History history;
  InMemoryGuest guest;
  InMemoryDomain domain{history};
  InMemoryGuestLinks links{history};
  InMemoryGuestStore store;
  InMemoryBootFiles files;
  InMemoryRecordStore records;
  DomainConfig config;
  CrashPolicy policy{.window_bytes = kWindow};
  DomainRecord record;
  std::vector<std::string> warnings;
  std::function<void(const std::string&)> reached;  ///< CrashWorld::reached
  std::uint8_t next_dump_id = 1;
  int clock = 0;
  std::uint64_t wall_ms = 1700000000000;
};

}  // namespace hadump
