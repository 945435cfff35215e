// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/copy_mode.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "core/vmcore/kernel_log.h"
#include "core/vmcore/vmcoreinfo.h"
#include "hv/capture/capture_facts.h"
#include "hv/domain/hvm_guest.h"
#include "tests/unit/hv/capture/capture_mode_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CopyModeTest : public testing::Test, public CapturedGuest {};

TEST_F(CopyModeTest, WritesEveryPageAndWhatIsKnownOfThem) {
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_THAT(files(), ElementsAre("dump", "dump-dmesg.txt", "dump-metadata.json"));
  expect_dump_equals_memory(record_.order.to);
  for (const std::string& name : files()) {
    struct stat info {};
    ASSERT_EQ(stat((directory_ / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U) << name;
  }
  EXPECT_EQ(record_.state, CaptureState::kWritten);
  EXPECT_TRUE(record_.complete);
  EXPECT_EQ(record_.panic, "Kernel panic - not syncing: a test");
  EXPECT_EQ(record_.memory_bytes, kFrames << kFrameShift);
  EXPECT_EQ(record_.file_bytes, std::filesystem::file_size(record_.order.to));
  EXPECT_EQ(noted_.back(), record_);
}

// Of a domain that an admin captures nobody knows how long ago it crashed.
TEST_F(CopyModeTest, SaysWhenTheCrashWasIfItBeganWithIt) {
  for (const bool by_policy : {true, false}) {
    CaptureRecord record = record_;
    record.order.to = directory_ / (by_policy ? "by-policy" : "by-hand");
    record.unattended = by_policy;
    const auto done = run(record);
    ASSERT_TRUE(done && *done);
    const auto source = open_vmcore(record.order.to);
    ASSERT_TRUE(source) << source.error().what();
    const auto info = Vmcoreinfo::parse(vmcoreinfo_text((*source)->layout()));
    ASSERT_TRUE(info);
    EXPECT_EQ(crash_identity(*info).crash_time_s.value_or(0), by_policy ? 1700000000U : 0U);
  }
}

TEST_F(CopyModeTest, AnotherDomainOfTheNumberIsNotRead) {
  host_.at(domid_).domain.set_uuid("uuid-of-somebody");
  for (const CaptureState state : {CaptureState::kExamining, CaptureState::kWriting}) {
    record_.state = state;
    const auto done = run();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), ErrorCode::kNotFound);
    EXPECT_THAT(files(), IsEmpty());
  }
}

// With the domain that is created anew goes the only other copy of its memory.
TEST_F(CopyModeTest, ADumpThatTheDomainIsEndedForMustLast) {
  in_memory_ = true;
  record_.order.restart = true;
  const auto done = run();
  ASSERT_FALSE(done) << "the dump is gone after the host's next boot, and so is the memory";
  EXPECT_EQ(done.error().code(), ErrorCode::kBadData);
  EXPECT_THAT(done.error().what(), HasSubstr("is in memory"));
  EXPECT_THAT(files(), IsEmpty());
  record_.order.restart = false;  // the domain stays as it is
  record_.state = CaptureState::kExamining;
  EXPECT_TRUE(run());
}

// As many frames of video memory as its balloon has taken: the number is that of a whole guest.
TEST_F(CopyModeTest, AnHvmGuestsHolesAreFoundWhateverItHasBesides) {
  constexpr std::uint64_t kAll = 1280_MiB >> kFrameShift;
  config_.kind = &kHvmGuest;
  config_.memory_bytes = kAll << kFrameShift;
  const FrameRange hole{Gfn{kAll - 5000}, Gfn{kAll - 1000}};
  memory().add({Gfn{kFrames}, hole.begin}).add({hole.end, Gfn{kAll}});
  memory().add({Gfn{0xf0000}, Gfn{0xf0000 + hole.frames()}});
  record_.order.dump_level = "1";
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(metadata()["header"]["frames"]["absent"], hole.frames());
  EXPECT_EQ(metadata()["trailer"]["complete"], true);
}

TEST_F(CopyModeTest, DescribesTheCrashInItsMetadata) {
  ASSERT_TRUE(run());
  const Json json = metadata();
  EXPECT_EQ(json["schema"], "hadump-capture");
  EXPECT_EQ(json["version"], 1);
  const Json& header = json["header"];
  EXPECT_EQ(header["domain"]["name"], "web/1");
  EXPECT_EQ(header["domain"]["type"], "pvh");
  EXPECT_EQ(header["domain"]["shutdown_reason"], "crash");
  EXPECT_EQ(header["panic"], "Kernel panic - not syncing: a test");
  EXPECT_EQ(header["kernel"]["release"], "6.1.0-test");
  EXPECT_EQ(header["dump"]["file"], "dump");
  EXPECT_EQ(header["dump"]["log"], "dump-dmesg.txt");
  EXPECT_EQ(header["dump"]["dump_levels"], Json::array({0}));
  EXPECT_EQ(header["vcpus"].size(), 2U);
  EXPECT_EQ(header["vcpus"][1]["rip"], "0xffffffff81000001");
  EXPECT_EQ(header["frames"]["dumped"], kFrames);
  const Json& trailer = json["trailer"];
  EXPECT_EQ(trailer["complete"], true);
  EXPECT_EQ(trailer["frames_written"], kFrames);
  EXPECT_EQ(trailer["frames_lost"], 0);
  EXPECT_EQ(trailer["file_bytes"], record_.file_bytes);
}

TEST_F(CopyModeTest, TheGuestsOwnStructPagesSayWhatIsLeftOut) {
  record_.order.dump_level = std::to_string(kFreeLevel);
  ASSERT_TRUE(run());
  const auto dump = open_vmcore(record_.order.to).value();
  std::vector<std::byte> page(kFrameSize);
  FrameStatus status{};
  ASSERT_TRUE(dump->read(Gfn{kFreeFrame}, page, {&status, 1}));
  EXPECT_EQ(status, FrameStatus::kAbsent);
  ASSERT_TRUE(dump->read(Gfn{kDataFrame}, page, {&status, 1}));
  EXPECT_EQ(status, FrameStatus::kRead);
  EXPECT_EQ(page[17], std::byte{0x77});
  EXPECT_EQ(metadata()["trailer"]["frames_left_out"], 8);
}

// Of the struct pages: the machine has nothing else mapped where a test could know it.
class ListedPagesTest : public CopyModeTest {
 protected:
  ListedPagesTest() {
    record_.order.pages = directory_ / "list";
    write_list(fmt::format("# as drgn has found them\n{:#x} 2\n{} 1  # not mapped\n",
                           linux_.vmemmap(), 0xffffc90000000000));
  }
  void write_list(const std::string& text) { std::ofstream(record_.order.pages) << text; }
  void expect_only_listed() {
    const auto dump = open_vmcore(record_.order.to);
    ASSERT_TRUE(dump) << dump.error().what();
    const Gfn first = linux_.frame_of_page_struct(0);
    const FrameSet& frames = (*dump)->layout().frames;
    EXPECT_TRUE(frames.contains({first, Gfn{first.value + 2}}));
    EXPECT_FALSE(frames.contains(Gfn{kDataFrame}));
    EXPECT_TRUE(frames.contains(linux_.top_table())) << "which lead to them";
    EXPECT_LT(frames.frames(), kFrames / 100);
    std::vector<std::byte> page(kFrameSize);
    FrameStatus status{};
    ASSERT_TRUE((*dump)->read(first, page, {&status, 1}));
    EXPECT_EQ(page, memory().content(first));
    EXPECT_THAT(read_text_file(directory_ / "dump-dmesg.txt", 1_MiB).value(),
                HasSubstr("Kernel panic"));
    EXPECT_EQ(metadata()["trailer"]["complete"], true);
    EXPECT_EQ(metadata()["header"]["pages"], (Json{{"asked", 3}, {"unmapped", 1}}));
  }
};

TEST_F(ListedPagesTest, NothingElseIsInTheDump) {
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(warnings_, ElementsAre("1 of 3 listed pages are not mapped in the guest"));
  expect_only_listed();
  EXPECT_FALSE(load_facts(directory_ / "state", record_.name)) << "nothing is left over";
}

// What the next hadumpd writes must be what this one has begun.
TEST_F(ListedPagesTest, AnotherListMeanwhileChangesNothing) {
  kill_at_note_ = 2;
  ASSERT_FALSE(run(record_));
  kill_at_note_ = 0;
  record_ = noted_.back();
  ASSERT_EQ(record_.state, CaptureState::kWriting);
  write_list("0 1\n");
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  expect_only_listed();
}

TEST_F(ListedPagesTest, ABadListIsRefused) {
  for (const char* text :
       {"", "# nothing\n", "0x1000\n", "0x1000 0\n", "4097 1\n", "x 1\n", "0x1000 1 1\n",
        "0x1000 -1\n", "0xfffffffffffff000 2\n", "0 99999999999\n"}) {
    write_list(text);
    const auto done = run();
    ASSERT_FALSE(done) << text;
    EXPECT_EQ(done.error().code(), ErrorCode::kBadData) << text;
    EXPECT_THAT(files(), ElementsAre("list"));
  }
  std::filesystem::permissions(record_.order.pages, std::filesystem::perms::all);
  write_list("0x1000 1\n");
  EXPECT_FALSE(run()) << "anybody could have written it";
}

TEST_F(CopyModeTest, ADirectoryGetsADirectoryOfItsOwn) {
  record_.order.to = directory_ / "captures/";
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  const std::string made = directory_ / "captures/web_1-20231114T221320";
  EXPECT_EQ(record_.file, made + "/vmcore");
  EXPECT_EQ(record_.metadata, made + "/metadata.json");
  EXPECT_TRUE(std::filesystem::exists(made + "/dmesg.txt"));
}

TEST_F(CopyModeTest, DoesNotTouchTheDomain) {
  const auto before = host_.at(domid_).history;
  ASSERT_TRUE(run());
  EXPECT_EQ(host_.at(domid_).history, before);
  EXPECT_EQ(memory().changes(), 0);
}

TEST_F(CopyModeTest, RefusesADomainThatRuns) {
  record_.domid = domid_ = host_.add(config_);
  memory().add({Gfn{0}, Gfn{kFrames}});
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(CopyModeTest, OverwritesNothing) {
  for (const char* name : {"dump", "dump-metadata.json"}) {
    std::ofstream(directory_ / name) << "an admin's";
    CaptureRecord record = record_;
    const auto done = run(record).value();
    ASSERT_FALSE(done) << name;
    EXPECT_EQ(done.error().os_errno(), EEXIST) << name;
    EXPECT_EQ(read_text_file(directory_ / name, 100).value(), "an admin's");
    std::filesystem::remove(directory_ / name);
  }
}

// The domain is the only place where what was not read is: it must not be created anew.
TEST_F(CopyModeTest, MemoryThatCouldNotBeReadIsAnError) {
  memory().fill(Gfn{kDataFrame}, std::byte{0x77});
  bool gone = false;
  auto open = host_.open(domid_).value();
  const CaptureWorld world{.domain = *open,
                           .config = config_,
                           .host_name = "dom0",
                           .state_directory = directory_ / "state",
                           .note = [&](const CaptureRecord& noted) -> Result<> {
                             if (noted.state == CaptureState::kWriting && !gone) {
                               EXPECT_TRUE(memory().remove({Gfn{kDataFrame}, Gfn{kDataFrame + 1}}));
                             }
                             gone = true;
                             return {};
                           },
                           .progress = [](const SaveProgress&) {},
                           .info = [](const std::string&) {},
                           .warn = [](const std::string&) {},
                           .cancelled = [] { return false; },
                           .wall_ms = [] { return std::uint64_t{1}; },
                           .host = host_};
  const auto done = copy_domain(world, record_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kIncomplete);
  EXPECT_FALSE(record_.complete);
  EXPECT_EQ(metadata()["trailer"]["complete"], false);
  EXPECT_TRUE(open_vmcore(record_.order.to).value()->layout().incomplete);
}

TEST_F(CopyModeTest, BadMemoryIsLostAndSaysSo) {
  memory().make_broken(Gfn{kDataFrame});
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_FALSE(record_.complete);
  EXPECT_EQ(metadata()["header"]["frames"]["broken"], 1);
  EXPECT_EQ(metadata()["trailer"]["frames_lost"], 1);
}

// Each note is where hadumpd can be killed and know it.
TEST_F(CopyModeTest, EndsAsItShouldWhereverItWasKilled) {
  for (std::size_t note = 1; note <= 3; ++note) {
    record_.order.to = directory_ / ("dump" + std::to_string(note));
    record_.dump_id = std::string(32, static_cast<char>('0' + note));
    noted_.clear();
    kill_at_note_ = note;
    CaptureRecord record = record_;
    ASSERT_FALSE(run(record)) << "it is killed at note " << note;
    kill_at_note_ = 0;
    record = noted_.back();  // what the next hadumpd reads
    if (record.is_open()) {
      const auto done = run(record).value();
      ASSERT_TRUE(done) << note << ": " << done.error().what();
    }
    EXPECT_EQ(record.state, CaptureState::kWritten) << note;
    expect_dump_equals_memory(record.order.to);
  }
  for (const std::string& name : files())
    EXPECT_THAT(name, testing::AllOf(testing::Not(HasSubstr("journal")),
                                     testing::Not(HasSubstr("incomplete"))));
}

// When the trailer is there the dump is whole, whatever the record says.
TEST_F(CopyModeTest, AWholeDumpIsNotWrittenAgain) {
  ASSERT_TRUE(run());
  const auto written = std::filesystem::last_write_time(record_.order.to);
  CaptureRecord record = record_;
  record.state = CaptureState::kWriting;
  ASSERT_TRUE(run(record).value());
  EXPECT_EQ(record, record_);
  EXPECT_EQ(std::filesystem::last_write_time(record_.order.to), written);
}

// The second time in place: the first of two portions is durable then.
TEST_F(CopyModeTest, GoesOnWithWhatWasWrittenBefore) {
  for (const std::uint64_t written : {std::uint64_t{0}, kFrames / 2}) {
    cancel_after_ = written;
    progress_.clear();
    const auto stopped = run();
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code(), ErrorCode::kCancelled);
    EXPECT_EQ(record_.state, CaptureState::kWriting);
    EXPECT_FALSE(metadata().contains("trailer"));
    EXPECT_THAT(files(), testing::Contains("dump-incomplete"));
  }
  cancel_after_.reset();
  progress_.clear();
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(files(), ElementsAre("dump", "dump-dmesg.txt", "dump-metadata.json"));
  expect_dump_equals_memory(record_.order.to);
}

}  // namespace
}  // namespace hadump
