// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>

#include <set>

#include "hv/domain/pvh_guest.h"
#include "hv/rescue/boot_image.h"
#include "hv/rescue/kernel_image.h"
#include "hv/rescue/rehearsal.h"
#include "hv/rescue/window_plan.h"
#include "tests/fakes/boot_file_samples.h"
#include "tests/fakes/in_memory_domain.h"

namespace hadump {
namespace {

using testing::HasSubstr;

FrameRange mib(std::uint64_t begin, std::uint64_t end) {
  return frames_of_bytes(begin << 20, (end - begin) << 20);
}

struct PlanCase {
  std::uint64_t memory_mib;
  std::vector<FrameRange> boot;
  FrameSet held;
  std::uint64_t save_mib;
};

// 0xfc000000 is 4032 MiB; memory above it goes on at 4096 MiB.
TEST(PlanWindow, SplitsRamIntoBootRegionsAndWholeBlocks) {
  const PlanCase cases[] = {
      {512, {mib(0, 256)}, {mib(256, 512)}, 4096},
      {1537, {mib(0, 256), mib(1536, 1537)}, {mib(256, 1536)}, 4096},
      {3840, {mib(0, 256)}, {mib(256, 3840)}, 4096},
      {4033, {mib(0, 256), mib(3968, 4032), mib(4096, 4097)}, {mib(256, 3968)}, 4224},
      {5120,
       {mib(0, 256), mib(3968, 4032), mib(5120, 5184)},
       {mib(256, 3968), mib(4096, 5120)},
       5248},
      {385, {mib(0, 256), mib(384, 385)}, {mib(256, 384)}, 4096},
  };
  for (const PlanCase& one : cases) {
    const auto ram = pvh_ram(one.memory_mib << 20);
    ASSERT_TRUE(ram);
    EXPECT_EQ(ram->bytes(), one.memory_mib << 20);
    const auto plan = plan_window(*ram, 256_MiB);
    ASSERT_TRUE(plan) << one.memory_mib;
    EXPECT_EQ(plan->boot_regions, one.boot) << one.memory_mib;
    EXPECT_EQ(plan->held, one.held) << one.memory_mib;
    EXPECT_EQ(added_save_area_start(*ram).value, one.save_mib << 8) << one.memory_mib;
  }
}

TEST(PlanWindow, RefusesWhatLeavesNothingToHold) {
  for (std::uint64_t memory_mib : {255U, 256U, 383U})
    EXPECT_FALSE(plan_window(*pvh_ram(memory_mib << 20), 256_MiB)) << memory_mib;
  EXPECT_FALSE(plan_window(*pvh_ram(1_GiB), 200_MiB));
  EXPECT_FALSE(plan_window(*pvh_ram(1_GiB), 0));
}

TEST(PvhRam, RefusesImpossibleSizes) {
  for (std::uint64_t bytes : {0_GiB, 1_MiB + 1, UINT64_MAX - 0xfff})
    EXPECT_FALSE(pvh_ram(bytes)) << bytes;
}

TEST(SaveLayout, KeepsSectionsApartAndLowAligned) {
  const SaveLayout layout = lay_out_save_area(
      {.cpu = 5000, .hpte = 3_MiB + 1, .low = 300_MiB + 4096, .elf_header = 9000, .blocks = 40});
  FrameSet seen;
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    const FrameRange range = frames_of_bytes(layout.offset[i], layout.capacity[i]);
    EXPECT_FALSE(seen.overlaps(range)) << i;
    EXPECT_LE(layout.offset[i] + layout.capacity[i], layout.length);
    seen.insert(range);
  }
  EXPECT_FALSE(seen.contains(Gfn{0}));
  EXPECT_EQ(layout.offset[HADUMP_SECTION_LOW] % HADUMP_SAVE_ALIGN, 0U);
  EXPECT_EQ(layout.length % HADUMP_SAVE_ALIGN, 0U);
}

// What a guest is told to reserve must do for what a crash needs.
TEST(SaveAreaReserve, IsEnoughForFourVcpusAndAFewHoles) {
  const FrameSet ram = *pvh_ram(1_GiB);
  const WindowPlan plan = *plan_window(ram, 256_MiB);
  EXPECT_GE(
      save_area_reserve(ram, plan, 4),
      lay_out_save_area(
          {.cpu = 4 * 8000, .hpte = 100 * 24, .low = 256_MiB, .elf_header = 64_KiB, .blocks = 8})
          .length);
}

TEST(PlanBoot, RefusesWhatDoesNotFit) {
  BootInput input{.window = mib(0, 128),
                  .kernel = mib(16, 100),
                  .initrd_bytes = 27_MiB,
                  .cmdline = "a",
                  .memory_map = {},
                  .rsdp = {}};
  EXPECT_TRUE(plan_boot(input));
  input.initrd_bytes = 28_MiB;  // no room for the start info
  EXPECT_THAT(plan_boot(input).error().what(),
              testing::AllOf(HasSubstr("28 MiB"), HasSubstr("window of 128 MiB"),
                             HasSubstr("`window =` must be at least 256 MiB")));
  input.initrd_bytes = UINT64_MAX - kFrameSize;
  EXPECT_FALSE(plan_boot(input));
  input.initrd_bytes = 0;
  input.kernel = mib(100, 129);
  EXPECT_THAT(plan_boot(input).error().what(),
              testing::AllOf(HasSubstr("129 MiB"), HasSubstr("`window =`")));
  input.kernel = mib(16, 100);
  input.cmdline.assign(2047, 'x');
  EXPECT_TRUE(plan_boot(input));
  input.cmdline.assign(2048, 'x');
  EXPECT_THAT(plan_boot(input).error().what(),
              testing::AllOf(HasSubstr("2048"), HasSubstr("2047"), HasSubstr("`cmdline =`")));
}

class RehearseBootTest : public testing::Test {
 protected:
  RehearseBootTest() {
    files.kernel_bytes = sample_kernel();
    files.ramdisk_bytes.assign(1_MiB, std::byte{0x44});
    files.tables = sample_acpi_tables();
    config.kind = &kPvhGuest;
    config.memory_bytes = 512_MiB;
    config.cmdline = "root=/dev/xvda";
  }
  Result<> rehearse() { return rehearse_boot(files, config, {128_MiB}); }
  InMemoryBootFiles files;
  DomainConfig config;
};

TEST_F(RehearseBootTest, TakesWhatACrashWouldBoot) {
  const auto done = rehearse();
  EXPECT_TRUE(done) << done.error().what();
}

TEST_F(RehearseBootTest, SaysWhatWouldKeepADumpFromBooting) {
  files.ramdisk_bytes.resize(120_MiB);
  EXPECT_THAT(rehearse().error().what(), HasSubstr("`window =`"));
  files.ramdisk_bytes.clear();
  config.cmdline.assign(2000, 'x');  // what hadumpd adds is too much
  EXPECT_THAT(rehearse().error().what(), HasSubstr("`cmdline =`"));
  config.cmdline.clear();
  files.tables.bytes[0x210] ^= std::byte{1};
  EXPECT_THAT(rehearse().error().what(), HasSubstr("ACPI"));
  files.kernel_bytes.assign(1000, std::byte{0});
  EXPECT_FALSE(rehearse());
}

// Linux copies the map into a table of 128 without a look at the number.
TEST(PlanBoot, RefusesAMapThatIsTooLongForLinux) {
  BootInput input{.window = mib(0, 128),
                  .kernel = mib(16, 100),
                  .initrd_bytes = 0,
                  .cmdline = "a",
                  .memory_map = std::vector<MapEntry>(126, MapEntry{0, 4096, MapType::kRam}),
                  .rsdp = {}};
  EXPECT_TRUE(plan_boot(input));
  input.memory_map.push_back({0, 4096, MapType::kRam});
  const auto refused = plan_boot(input);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
}

TEST(ParseKernel, FindsSegmentsAndEntry) {
  const auto file = sample_kernel(16_MiB, 8192);
  const auto kernel = parse_kernel(file);
  ASSERT_TRUE(kernel) << kernel.error().what();
  EXPECT_EQ(kernel->entry, GuestPhys{16_MiB});
  ASSERT_EQ(kernel->segments.size(), 1U);
  EXPECT_EQ(kernel->segments[0].data.size(), 8192U);
  EXPECT_EQ(kernel->extent(), frames_of_bytes(16_MiB, 8192 + 64_KiB));
}

// Every way to cut a kernel short, and any one byte wrong: an error or a kernel, never a crash.
TEST(ParseKernel, SurvivesEveryTruncationAndFlippedByte) {
  auto file = sample_kernel(16_MiB, 64);
  for (std::size_t size = 0; size < file.size(); ++size)
    static_cast<void>(parse_kernel(std::span(file).first(size)));
  for (std::size_t i = 0; i < file.size(); ++i) {
    auto bent = file;
    bent[i] ^= std::byte{0xff};
    static_cast<void>(parse_kernel(bent));
  }
  EXPECT_FALSE(parse_kernel(std::span(file).first(200)));
}

TEST(ExtractKernel, RefusesWhatIsNoKernel) {
  EXPECT_FALSE(extract_kernel(std::vector<std::byte>(100)));
  EXPECT_FALSE(extract_kernel({}));
  EXPECT_FALSE(unpack(std::vector<std::byte>(64, std::byte{0x1f})));
}

// A file's header says how much memory unpacking takes; a few bytes must not take gigabytes.
TEST(Unpack, TakesTheWindowsThatLinuxUsesAndNoLargerOnes) {
  const auto zstd = [](unsigned window_log) {
    const auto window = static_cast<std::uint8_t>((window_log - 10) << 3);
    const std::uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0,   window, 1 | (4 << 3),
                                  0,    0,    'a',  'b',  'c', 'd'};
    return unpack(std::as_bytes(std::span(frame)));
  };
  const auto lzma = [](std::uint8_t dictionary_16_mib) {  // of nothing
    const std::uint8_t file[] = {0x5d, 0, 0, 0, dictionary_16_mib, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                 0,    0, 0, 0};
    return unpack(std::as_bytes(std::span(file)));
  };
  EXPECT_EQ(zstd(27)->size(), 4U);  // zstd -22 --ultra
  EXPECT_TRUE(lzma(8));             // dict=128MiB
  for (const auto& refused : {zstd(29), zstd(31), lzma(32), lzma(128)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
    EXPECT_THAT(refused.error().what(), HasSubstr("256 MiB"));
  }
}

TEST(AcpiTablesKey, TellsApartWhatShapesTheTables) {
  const AcpiShape shapes[] = {{{true, true, true, true}},     {{true, true, false, false}},
                              {{true, false, true, false}},   {{true, true}},
                              {{true, true}, false},          {{true, true}, true, false},
                              {std::vector<bool>(4096, true)}};
  std::set<std::string> keys;
  for (const AcpiShape& shape : shapes) {
    keys.insert(acpi_tables_key(shape));
    EXPECT_LT(acpi_tables_key(shape).size(), 100U);
    EXPECT_EQ(acpi_tables_key(shape).find('/'), std::string::npos);
  }
  EXPECT_EQ(keys.size(), std::size(shapes));
}

TEST(CheckAcpiTables, FindsTheRootAndEveryDamage) {
  const AcpiTables good = sample_acpi_tables();
  const auto root = check_acpi_tables(good);
  ASSERT_TRUE(root) << root.error().what();
  EXPECT_EQ(root->value, 0xfc001000U);
  for (std::size_t at : {std::size_t{0x20}, std::size_t{0x210}, kFrameSize + 9}) {
    AcpiTables bad = good;
    bad.bytes[at] ^= std::byte{1};
    EXPECT_FALSE(check_acpi_tables(bad)) << at;
  }
  EXPECT_FALSE(check_acpi_tables({kAcpiFrames.begin, {}}));
}

}  // namespace
}  // namespace hadump
