// What a guest can do to the dump that waits in it, and what it has done while no agent looked.
#include <gmock/gmock.h>

#include "hv/agent/checksum.h"
#include "tests/unit/hv/crash_run_fixture.h"

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
  journal.stop_after(Step::kVcpusSet);
  ASSERT_THROW(static_cast<void>(run()), Killed);
  journal.go_on();
  record = journal.saved.back();
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
