// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/copy_mode.h"
#include "core/vmcore/open.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/file.h"
#include "hv/domain/pvh_guest.h"
#include "tests/fakes/in_memory_host.h"
#include "tests/fakes/linux_machine.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr std::uint64_t kFrames = LinuxMachine::kFramesPerSection;
constexpr std::uint64_t kNoteFrame = kFrames - 10;
constexpr std::uint64_t kFreeFrame = 20000;  // one that the guest's struct pages call free
constexpr std::uint64_t kDataFrame = 10000;
constexpr unsigned kFreeLevel = 16;

// A PVH guest of 128 MiB that has died of a panic: a whole Linux, as far as a dump looks at it.
class CopyModeTest : public testing::Test {
 protected:
  CopyModeTest() {
    DomainConfig config;
    config.name = "web/1";
    config.uuid = "uuid-of-web";
    config.kind = &kPvhGuest;
    config.memory_bytes = kFrames << kFrameShift;
    config.max_vcpus = 2;
    domid_ = host_.add(config);
    config_ = host_.config(domid_).value();
    EXPECT_TRUE(host_.crash(domid_));
    fill();
    record_.name = "web-now";
    record_.domain = config_.name;
    record_.uuid = config_.uuid;
    record_.domid = domid_;
    record_.dump_id = std::string(32, 'a');
    record_.begun_ms = 1700000000000;
    record_.order.to = directory_ / "dump";
    record_.order.dump_level = "0";
  }

  InMemoryGuest& memory() { return host_.at(domid_).memory; }

  void fill() {
    linux_.set_free_block(kFreeFrame, 3);
    linux_.add_log(1000, "all is well").add_log(2000, "Kernel panic - not syncing: a test");
    linux_.finish();
    memory().add({Gfn{0}, Gfn{kFrames}});
    std::vector<std::byte> page(kFrameSize);
    for (FrameRange range : linux_.dump.layout().frames.ranges())
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
        FrameStatus status{};
        EXPECT_TRUE(linux_.dump.read(gfn, page, {&status, 1}));
        if (std::any_of(page.begin(), page.end(), [](std::byte b) { return b != std::byte{0}; })) {
          EXPECT_TRUE(write_guest(memory(), address_of(gfn), page));
        }
      }
    memory().fill(Gfn{kDataFrame}, std::byte{0x77}).fill(Gfn{kFreeFrame}, std::byte{0x55});
    put_note();
  }
  void put_note() {
    std::string text = "OSRELEASE=6.1.0-test\n";
    for (const auto& [key, value] : linux_.info)
      if (key != "OSRELEASE") text += key + "=" + value + "\n";
    Elf64_Nhdr header{11, static_cast<Elf64_Word>(text.size()), 0};
    std::string note(reinterpret_cast<const char*>(&header), sizeof(header));
    note += std::string("VMCOREINFO\0\0", 12) + text;
    EXPECT_TRUE(write_guest(memory(), address_of(Gfn{kNoteFrame}), std::as_bytes(std::span(note))));
  }

  /// One run of hadumpd's. @return nothing when it was killed.
  std::optional<Result<>> run(CaptureRecord& record) {
    auto open = host_.open(domid_).value();
    const CaptureWorld world{
        .domain = *open,
        .config = config_,
        .host_name = "dom0",
        .state_directory = directory_ / "state",
        .note = [this](const CaptureRecord& noted) -> Result<> {
          noted_.push_back(noted);
          if (kill_at_note_ != 0 && noted_.size() == kill_at_note_) throw Killed{};
          return {};
        },
        .progress = [this](const SaveProgress& now) { progress_.push_back(now); },
        .info = [](const std::string&) {},
        .warn = [this](const std::string& text) { warnings_.push_back(text); },
        .cancelled =
            [this] {
              return cancel_after_ && progress_.size() > 0 &&
                     progress_.back().dump.frames_done >= *cancel_after_;
            },
        .wall_ms = [] { return std::uint64_t{1700000009000}; }};
    try {
      return copy_domain(world, record);
    } catch (const Killed&) {
      return {};
    }
  }
  Result<> run() { return run(record_).value(); }

  Json metadata() {
    return Json::parse(read_text_file(record_.order.to + "-metadata.json", 1_MiB).value());
  }
  /// What is there, besides what hadumpd has in its own directory.
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / ""))
      if (entry.path().filename() != "state") names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  void expect_dump_equals_memory(const std::string& path) {
    const auto dump = open_vmcore(path);
    ASSERT_TRUE(dump) << dump.error().what();
    EXPECT_FALSE((*dump)->layout().incomplete);
    EXPECT_EQ(cpu_notes((*dump)->layout()).size(), 2U);
    EXPECT_THAT(std::string(vmcoreinfo_text((*dump)->layout())), HasSubstr("OSRELEASE=6.1.0-test"));
    std::vector<std::byte> page(kFrameSize);
    for (std::uint64_t gfn = 0; gfn < kFrames; ++gfn) {
      FrameStatus status{};
      ASSERT_TRUE((*dump)->read(Gfn{gfn}, page, {&status, 1}));
      ASSERT_EQ(status, FrameStatus::kRead) << gfn;
      ASSERT_EQ(std::memcmp(page.data(), memory().content(Gfn{gfn}).data(), kFrameSize), 0) << gfn;
    }
  }

  TemporaryDirectory directory_;
  LinuxMachine linux_{{.sections = 1}};
  InMemoryHost host_;
  unsigned domid_ = 0;
  DomainConfig config_;
  CaptureRecord record_;
  std::vector<CaptureRecord> noted_;
  std::vector<SaveProgress> progress_;
  std::vector<std::string> warnings_;
  std::size_t kill_at_note_ = 0;
  std::optional<std::uint64_t> cancel_after_;  ///< frames that are written
};

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
                           .wall_ms = [] { return std::uint64_t{1}; }};
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
