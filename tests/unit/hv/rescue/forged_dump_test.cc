// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest can do to the dump that waits in it, and what it has done while no agent looked.
#include <gmock/gmock.h>

#include "hv/rescue/checksum.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;

class ForgedDumpTest : public CrashRunTest {
 protected:
  // As the guest could: whole sections, with checksums that fit.
  void forge(hadump_section_index index, std::span<const std::byte> bytes) {
    auto saved = read_snapshot(guest, record.save_area, false);
    ASSERT_TRUE(saved) << saved.error().what();
    hadump_save_header header = saved->header;
    hadump_section& section = header.sections[index];
    const std::uint64_t base = address_of(record.save_area.begin).value;
    section.length = bytes.size();
    section.checksum = checksum(bytes);
    header.boots = 0;
    header.header_checksum = checksum(
        std::as_bytes(std::span(&header, 1)).first(offsetof(hadump_save_header, header_checksum)));
    header.boots = saved->header.boots;
    ASSERT_TRUE(write_guest(guest, GuestPhys{base + section.offset}, bytes));
    ASSERT_TRUE(write_guest(guest, GuestPhys{base}, std::as_bytes(std::span(&header, 1))));
    ASSERT_TRUE(read_snapshot(guest, record.save_area, false));
  }
  void forge_node(const std::function<void(DumpNode&)>& bend) {
    auto saved = read_snapshot(guest, record.save_area, false);
    ASSERT_TRUE(saved) << saved.error().what();
    bend(saved->node);
    auto tree = encode_dump_node(saved->node);
    ASSERT_TRUE(tree) << tree.error().what();
    forge(HADUMP_SECTION_NODE, *tree);
  }
};

// Each would make the agent give the guest memory that is not its own, or show it what it never
// had.
TEST_F(ForgedDumpTest, IsLeftAsFound) {
  const std::function<void(DumpNode&)> forgeries[] = {
      [](DumpNode& node) { node.boot_regions.back().range = frames_of_bytes(5120_GiB, 1_MiB); },
      [](DumpNode& node) {
        node.boot_regions.push_back(
            {frames_of_bytes(6144_GiB, 128_MiB), node.boot_regions[0].copy});
      },
      [](DumpNode& node) { node.held.insert(frames_of_bytes(7168_GiB, 128_MiB)); },
      [](DumpNode& node) { node.held.erase(frames_of_bytes(128_MiB, 128_MiB)); },
      [](DumpNode& node) { node.released.insert(frames_of_bytes(8192_GiB, 128_MiB)); },
      [](DumpNode& node) { node.dump_id[5] ^= 1; },
      [](DumpNode& node) { node.mode = SaveMode::kRegistered; },
  };
  ASSERT_TRUE(run());
  const std::uint64_t limit = guest.limit_kib();
  const auto true_node = read_snapshot(guest, record.save_area, false)->node;
  for (const auto& forgery : forgeries) {
    forge_node(forgery);
    domain.crash_again();
    history.clear();

    const auto done = run();

    ASSERT_FALSE(done) << &forgery - forgeries;
    EXPECT_THAT(done.error().what(), HasSubstr("not the one that was saved"));
    EXPECT_THAT(history, testing::ElementsAre("pause", "start"));
    EXPECT_EQ(domain.pauses(), 0);
    EXPECT_EQ(record.step, Step::kStarted);
    EXPECT_EQ(guest.limit_kib(), limit);
    forge_node([&](DumpNode& node) { node = true_node; });
  }
}

// A grant outlives the crash, so another domain can still write to a save area that the guest has
// registered, with checksums that fit.
TEST_F(ForgedDumpTest, TheHypervisorIsNotToldWhatTheSaveAreaSaysOfTheMachine) {
  store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
  records.stop_after(Step::kSnapshotComplete);
  ASSERT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  record = records.saved.back();
  ASSERT_EQ(record.mode, SaveMode::kRegistered);
  const auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved) << saved.error().what();
  const hadump_section& section = saved->header.sections[HADUMP_SECTION_CPU];
  std::vector<std::byte> cpus(section.length);
  const GuestPhys at{address_of(record.save_area.begin).value + section.offset};
  ASSERT_TRUE(read_guest(guest, at, cpus));
  std::fill_n(cpus.end() - static_cast<std::ptrdiff_t>(saved->cpus.context.size()),
              saved->cpus.context.size(), std::byte{0x66});
  forge(HADUMP_SECTION_CPU, cpus);

  const auto done = run();  // the fake takes its own context and no other

  EXPECT_TRUE(done) << done.error().what();
}

// Lengths that a guest can have any checksum for: refused before anything is read or allocated.
TEST_F(ForgedDumpTest, SectionsLongerThanTheDomainCanHaveAreRefused) {
  ASSERT_TRUE(run());
  const std::uint64_t ram_blocks = 5;
  const SnapshotLimits limits{.vcpus = 2, .blocks = ram_blocks};
  ASSERT_TRUE(read_snapshot(guest, record.save_area, false, limits));
  const GuestPhys base = address_of(record.save_area.begin);
  hadump_save_header good{};
  ASSERT_TRUE(read_guest(guest, base, std::as_writable_bytes(std::span(&good, 1))));
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    const auto index = static_cast<hadump_section_index>(i);
    if (index == HADUMP_SECTION_LOW) continue;
    hadump_save_header header = good;
    header.sections[i].offset = kFrameSize;
    header.sections[i].length = max_section_bytes(index, limits) + 1;
    EXPECT_LT(header.sections[i].length, 8_MiB) << i;
    header.boots = 0;
    header.header_checksum = checksum(
        std::as_bytes(std::span(&header, 1)).first(offsetof(hadump_save_header, header_checksum)));
    header.boots = good.boots;
    ASSERT_TRUE(write_guest(guest, base, std::as_bytes(std::span(&header, 1))));

    const auto refused = read_snapshot(guest, record.save_area, false, limits);

    ASSERT_FALSE(refused) << i;
    EXPECT_EQ(refused.error().code(), ErrorCode::kBadData);
    EXPECT_THAT(refused.error().what(), HasSubstr("too long")) << i;
  }
}

// As many records as fit the limit, each frame of another kind than the one before.
TEST_F(ForgedDumpTest, TheLongestListOfTranslationRecordsIsRead) {
  ASSERT_TRUE(run());
  std::vector<hadump_hpte> translations;
  for (std::uint64_t gfn = 0; gfn < kMaxSurveyRecords; ++gfn)
    translations.push_back(
        {gfn, 1, static_cast<u32>(gfn % 2 ? HADUMP_HPTE_RAM : HADUMP_HPTE_SPECIAL), 0});
  auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  hadump_save_header header = saved->header;
  hadump_section& section = header.sections[HADUMP_SECTION_HPTE];
  section.offset = header.sections[HADUMP_SECTION_LOW].offset;
  section.length = translations.size() * sizeof(hadump_hpte);
  section.checksum = checksum(std::as_bytes(std::span(translations)));
  header.boots = 0;
  header.header_checksum = checksum(
      std::as_bytes(std::span(&header, 1)).first(offsetof(hadump_save_header, header_checksum)));
  header.boots = saved->header.boots;
  const GuestPhys base = address_of(record.save_area.begin);
  ASSERT_TRUE(write_guest(guest, GuestPhys{base.value + section.offset},
                          std::as_bytes(std::span(translations))));
  ASSERT_TRUE(write_guest(guest, base, std::as_bytes(std::span(&header, 1))));

  saved = read_snapshot(guest, record.save_area, false);

  ASSERT_TRUE(saved) << saved.error().what();
  EXPECT_EQ(saved->survey.dumped().frames(), kMaxSurveyRecords);
  std::string complaint;
  EXPECT_TRUE(plan_rewrite(*saved, complaint));
}

// A guest larger than the tests' usual one, of which every second block has been released.
TEST_F(ForgedDumpTest, ASecondBootWithMorePiecesThanLinuxTakesIsRefusedInTime) {
  constexpr std::uint64_t kLargeRam = 18_GiB;
  constexpr std::uint64_t kHigh = kHighRamStart;
  guest.add(frames_of_bytes(kRam, kLowRamLimit - kRam));
  guest.add(frames_of_bytes(kHigh, kLargeRam - kLowRamLimit));
  ASSERT_TRUE(guest.set_limit_kib(kLargeRam >> 9));
  config.memory_bytes = kLargeRam;
  put_vmcoreinfo();
  ASSERT_TRUE(run()) << record.error;
  auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  std::vector<std::uint8_t> blocks(saved->blocks.size());
  for (std::size_t i = 1; i < blocks.size(); i += 2)
    if (saved->node.held.contains(frames_of_bytes(i * HADUMP_BLOCK_SIZE, HADUMP_BLOCK_SIZE)))
      blocks[i] = HADUMP_BLOCK_RELEASED;
  ASSERT_TRUE(
      write_guest(guest, saved->node.block_table.address, std::as_bytes(std::span(blocks))));
  domain.crash_again();
  history.clear();

  const auto done = run();

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(done.error().what(), HasSubstr("memory map"));
  EXPECT_THAT(history, testing::ElementsAre("pause", "start"));
  EXPECT_EQ(record.step, Step::kStarted);
  EXPECT_EQ(record.boots, 1U);
  EXPECT_TRUE(read_snapshot(guest, record.save_area, true)) << "the dump is as it was";
}

// The hypervisor trusts whoever sets a virtual machine's records.
TEST_F(ForgedDumpTest, ItsMachineRecordsAreNotGivenToTheHypervisor) {
  ASSERT_TRUE(run());
  auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  const hadump_section& section = saved->header.sections[HADUMP_SECTION_CPU];
  std::vector<std::byte> bytes(section.length);
  const GuestPhys at{address_of(record.save_area.begin).value + section.offset};
  ASSERT_TRUE(read_guest(guest, at, bytes));
  std::fill(bytes.end() - 100, bytes.end(), std::byte{0x66});  // the context
  forge(HADUMP_SECTION_CPU, bytes);
  domain.crash_again();

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
}

// The agent was killed between starting the guest and writing that down. What the guest has been
// given back until it crashed is not the old kernel's any more.
TEST_F(ForgedDumpTest, AGuestThatWasStartedUnnoticedHasReleasedWhatItsTableSays) {
  records.stop_after(Step::kVcpusSet);
  ASSERT_THROW(static_cast<void>(run()), Killed);
  records.go_on();
  record = records.saved.back();
  ASSERT_TRUE(domain.start());
  auto saved = read_snapshot(guest, record.save_area, false);
  ASSERT_TRUE(saved);
  const std::uint8_t released = HADUMP_BLOCK_RELEASED;
  ASSERT_TRUE(write_guest(guest, GuestPhys{saved->node.block_table.address.value + 2},
                          std::as_bytes(std::span(&released, 1))));
  guest.fill(frame_of(GuestPhys{256_MiB}), std::byte{0xff});
  domain.crash_again();

  const auto done = run();

  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record.boots, 2U);
  EXPECT_EQ(dumped(frame_of(GuestPhys{256_MiB})), -1);
  EXPECT_EQ(dumped(frame_of(GuestPhys{384_MiB})),
            std::to_integer<int>(mark(384_MiB >> kFrameShift)));
}

// The module says "done" for a second, which a busy host can miss, and registers again.
TEST_F(ForgedDumpTest, ADumpIsOverWhenItsMarkIsGoneAndTheGuestRegisters) {
  store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
  ASSERT_TRUE(run());
  ASSERT_EQ(record.mode, SaveMode::kRegistered);
  GuestProgress progress;
  progress.state = GuestState::kRegistered;
  EXPECT_FALSE(dump_is_over(guest, record, progress)) << "its module has not found the dump";

  const std::uint64_t over = 0;
  ASSERT_TRUE(write_guest(
      guest,
      GuestPhys{address_of(record.save_area.begin).value + offsetof(hadump_save_header, complete)},
      std::as_bytes(std::span(&over, 1))));
  EXPECT_TRUE(dump_is_over(guest, record, progress));
  progress.state = GuestState::kSaving;
  EXPECT_FALSE(dump_is_over(guest, record, progress));
  progress.state = GuestState::kDone;
  EXPECT_TRUE(dump_is_over(guest, record, progress));
  progress.dump_id = "00000000000000000000000000000000";
  EXPECT_FALSE(dump_is_over(guest, record, progress)) << "another dump's word";
}

}  // namespace
}  // namespace hadump
