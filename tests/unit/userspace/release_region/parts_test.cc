// SPDX-License-Identifier: GPL-2.0-or-later
// The parts of release-region that need no dump: parsing, names, tables, the journal.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <libfdt.h>

#include <random>

#include "core/base/file.h"
#include "core/save/block_releaser.h"
#include "core/save/earlier_save.h"
#include "core/save/journal.h"
#include "core/save/save_registry.h"
#include "core/save/target.h"
#include "tests/unit/core/save/save_harness.h"
#include "userspace/cli/json_log.h"
#include "userspace/dump_tools/command_convert.h"
#include "userspace/release_region/command_release.h"
#include "userspace/release_region/command_show.h"
#include "userspace/release_region/command_status.h"
#include "userspace/release_region/sysfs_releaser.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kRegions =
    "0x0 0x10000000 window\n"
    "0x10000000 0x18000000 held\n"
    "0x18000000 0x18001000 partial\n"
    "0x18001000 0x20000000 hole\n"
    "0x20000000 0x28000000 released\n"
    "0x100000000 0x110000000 save-area\n";

TEST(RegionTable, ReadsEveryState) {
  const auto table = RegionTable::parse(kRegions);
  ASSERT_TRUE(table) << table.error().what();
  EXPECT_EQ(table->regions().size(), 6U);
  EXPECT_EQ(table->bytes_in_state(RegionState::kHeld), 128_MiB);
  EXPECT_EQ(table->bytes_in_state(RegionState::kPartial), kFrameSize);
  EXPECT_EQ(table->regions()[5], (Region{frames_of_bytes(4_GiB, 256_MiB), RegionState::kSaveArea}));
}

TEST(RegionTable, RefusesWhatTheModuleWouldNotSay) {
  for (const char* bad :
       {"0x0 0x1000\n", "0x0 0x1000 \n", "0x0 0x1000 mine\n", "0x1000 0x0 held\n", "0x0 0x0 held\n",
        "0x0 0x1001 held\n", "x y held\n", "\n", "0x0  0x1000 held\n",
        "0x0 0x2000 held\n0x1000 0x3000 held\n", "0x4000 0x5000 held\n0x0 0x1000 held\n"})
    EXPECT_FALSE(RegionTable::parse(bad)) << bad;
}

// A directory like /sys/kernel with a waiting dump.
class WithSysfs : public testing::Test {
 protected:
  WithSysfs() {
    std::filesystem::create_directory(dir_ / "hadump");
    write("release_region", "");
    write("hadump/regions", kRegions);
    write("hadump/dump_id", std::string(32, 'c') + "\n");
    write("hadump/enabled", "1\n");
    write("hadump/registered", "0\n");
    write("hadump/progress", "half of it\n");
    write("hadump/node", "");
  }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_atomically(dir_ / name, text, 0600));
  }
  std::string read(const std::string& name) { return *read_text_file(dir_ / name, 4096); }
  std::string root() const { return dir_ / ""; }

  TemporaryDirectory dir_;
  std::ostringstream out_, err_;
  Streams io_{out_, err_, false};
};

TEST_F(WithSysfs, ReleaseWritesStartAndLengthInHexadecimal) {
  SysfsReleaser releaser(root());
  ASSERT_TRUE(releaser.release(frames_of_bytes(0x10000000, 0x8000000)));
  EXPECT_EQ(read("release_region"), "0x10000000 0x8000000\n");
}

TEST(ReleaseError, TellsTheReasonsApart) {
  const FrameRange range = frames_of_bytes(0x1000, 0x1000);
  EXPECT_EQ(release_error(EBUSY, range).code(), ErrorCode::kBusy);
  EXPECT_EQ(release_error(EOPNOTSUPP, range).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(release_error(ENOMEM, range).code(), ErrorCode::kOs);
  for (int bad : {EINVAL, EFAULT, ERANGE, EALREADY})
    EXPECT_EQ(release_error(bad, range).code(), ErrorCode::kBadData);
  EXPECT_THAT(release_error(EALREADY, range).what(), HasSubstr("[0x1000, 0x2000)"));
}

TEST_F(WithSysfs, ShowPrintsRangesAndTotals) {
  SysfsReleaser releaser(root());
  const WaitingDump dump{std::string(32, 'c'), "added", 1'000'000'000, 1};
  EXPECT_EQ(run_show({}, dump, releaser, io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("2001-09-09T01:46:40Z"));
  EXPECT_THAT(out_.str(), HasSubstr("0x0000000010000000 0x0000000018000000    128 MiB  held\n"));
  EXPECT_THAT(out_.str(), HasSubstr("save-area     256 MiB\n"));
}

TEST_F(WithSysfs, ShowPrintsJson) {
  SysfsReleaser releaser(root());
  EXPECT_EQ(run_show({false, true}, WaitingDump{"id", "", 7, 1}, releaser, io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr(R"({"start":268435456,"end":402653184,"state":"held"})"));
  EXPECT_THAT(out_.str(), HasSubstr(R"("held":134217728)"));
}

TEST_F(WithSysfs, StatusSaysThatADumpWaits) {
  EXPECT_EQ(run_status({}, root(), io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("a dump waits: cccc"));
  EXPECT_THAT(out_.str(), HasSubstr("held 128 MiB, released 128 MiB, save area 256 MiB"));
  EXPECT_THAT(out_.str(), HasSubstr("last report: half of it"));
}

TEST_F(WithSysfs, StatusSaysThatNoneDoes) {
  std::filesystem::remove(dir_ / "release_region");
  EXPECT_EQ(run_status({false, true}, root(), io_), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("\"dump_waits\":false"));
}

TEST_F(WithSysfs, StatusWarnsOfAKdumpKernel) {
  write("kexec_crash_loaded", "0\n");
  EXPECT_EQ(run_status({}, root(), io_), kExitOk);
  EXPECT_THAT(out_.str(), Not(HasSubstr("kdump")));
  write("kexec_crash_loaded", "1\n");
  EXPECT_EQ(run_status({}, root(), io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("a kdump kernel is loaded"));
  EXPECT_EQ(run_status({false, true}, root(), io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\"kdump_loaded\":true"));
}

TEST_F(WithSysfs, StatusNeedsTheModule) {
  std::filesystem::remove(dir_ / "hadump/enabled");
  EXPECT_EQ(run_status({}, root(), io_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("is hadump.ko loaded?"));
}

TEST_F(WithSysfs, DryRunChangesNothingAndChecks) {
  SysfsReleaser releaser(root());
  EXPECT_EQ(run_release(*parse_release({"10000000", "0x8000000", "--dry-run"}), releaser, io_),
            kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("would release [0x10000000, 0x18000000), 128 MiB"));
  EXPECT_EQ(run_release(*parse_release({"10000000", "10000000", "-n"}), releaser, io_),
            kExitFailed);
  EXPECT_EQ(read("release_region"), "");
}

TEST(ParseRelease, IsStrict) {
  const auto good = parse_release({"0x1000", "2000"});
  ASSERT_TRUE(good);
  EXPECT_EQ(good->range, frames_of_bytes(0x1000, 0x2000));
  using Args = std::vector<std::string>;
  for (const Args& bad :
       {Args{}, Args{"1000"}, Args{"1000", "0"}, Args{"1001", "1000"}, Args{"1000", "10"},
        Args{"1000", "1000", "1000"}, Args{"-1000", "1000"}, Args{"1000", "0x1000 "},
        Args{"fffffffffffff000", "2000"}, Args{"1000", "1000", "--dry"}})
    EXPECT_FALSE(parse_release(bad)) << testing::PrintToString(bad);
}

std::vector<std::byte> make_node() {
  std::vector<char> buffer(4096);
  void* tree = buffer.data();
  const auto size = static_cast<int>(buffer.size());
  EXPECT_EQ(fdt_create(tree, size), 0);
  fdt_finish_reservemap(tree);
  fdt_begin_node(tree, "");
  fdt_begin_node(tree, "dump-kernel");
  const char id[16] = {'\x01', '\xab'};
  fdt_property(tree, "hadump,dump-id", id, sizeof(id));
  fdt_property_string(tree, "hadump,mode", "registered");
  fdt_property_u64(tree, "hadump,crash-time", 1'000'000'000);
  fdt_property_u32(tree, "hadump,boots", 2);
  fdt_end_node(tree);
  fdt_end_node(tree);
  EXPECT_EQ(fdt_finish(tree), 0);
  const auto bytes = std::as_bytes(std::span(buffer.data(), fdt_totalsize(tree)));
  return {bytes.begin(), bytes.end()};
}

TEST(DumpNode, SaysWhatAndWhen) {
  const auto dump = parse_dump_node(make_node());
  ASSERT_TRUE(dump) << dump.error().what();
  EXPECT_EQ(dump->dump_id, "01ab" + std::string(28, '0'));
  EXPECT_EQ(dump->mode, "registered");
  EXPECT_EQ(dump->crash_time, 1'000'000'000U);
  EXPECT_EQ(dump->boots, 2U);
}

TEST(DumpNode, SurvivesEveryDamagedByte) {
  const auto good = make_node();
  for (std::size_t i = 0; i < good.size(); ++i)
    for (std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      auto bad = good;
      bad[i] ^= flip;
      static_cast<void>(parse_dump_node(bad));  // Whatever it says, the sanitizers are content.
      static_cast<void>(parse_dump_node(std::span(bad).first(i)));
    }
}

const JournalContent kContent{std::string(32, 'a'),
                              "format=elf",
                              {"/a b/x-incomplete", "/y-incomplete"},
                              {"/a b/x", "/y"},
                              {{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{300}}},
                              {},
                              {},
                              {},
                              {"/old journal"},
                              false};

TEST(Journal, ComesBackAsItWasWritten) {
  const TemporaryDirectory dir;
  auto journal = Journal::create(dir / "j", kContent);
  ASSERT_TRUE(journal);
  ASSERT_TRUE(journal->add_durable({{Gfn{0}, Gfn{50}}}, {{Gfn{3}, Gfn{4}}}, 1));
  ASSERT_TRUE(journal->add_durable({{Gfn{50}, Gfn{100}}}, {}, 1));
  ASSERT_TRUE(journal->add_durable({{Gfn{200}, Gfn{201}}}, {}, 31));
  JournalContent expected = kContent;
  expected.durable = {{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{201}}};
  expected.lost = {{Gfn{3}, Gfn{4}}};
  expected.steps = {{1, {{Gfn{0}, Gfn{100}}}}, {31, {{Gfn{200}, Gfn{201}}}}};
  EXPECT_EQ(*read_journal(dir / "j"), expected);
  ASSERT_TRUE(Journal::reopen(dir / "j", expected));
  EXPECT_EQ(*read_journal(dir / "j"), expected);
}

// Whatever a crash tears off, no frame is called durable that was not noted as such.
TEST(Journal, BelievesOnlyWholeLines) {
  const TemporaryDirectory dir;
  auto journal = Journal::create(dir / "j", kContent);
  const std::size_t head = read_text_file(dir / "j", 4096)->size();
  ASSERT_TRUE(journal->add_durable({{Gfn{0x10}, Gfn{0x20}}}, {}, 0));
  ASSERT_TRUE(journal->add_durable({{Gfn{0x20}, Gfn{0x300}}}, {}, 0));
  const std::string whole = *read_text_file(dir / "j", 4096);
  const FrameSet possible[] = {{}, {{Gfn{0x10}, Gfn{0x20}}}, {{Gfn{0x10}, Gfn{0x300}}}};
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    for (const std::string& tail : {std::string(), std::string(7, '\0')}) {
      ASSERT_TRUE(write_file_atomically(dir / "j", whole.substr(0, cut) + tail, 0600));
      const auto content = read_journal(dir / "j");
      EXPECT_EQ(content.has_value(), cut >= head) << cut;
      if (content) {
        EXPECT_THAT(possible, testing::Contains(content->durable)) << cut;
      }
    }
  }
}

// Whose files nobody knows, nothing can be missing from.
TEST(Journal, IsNoneWithoutFiles) {
  const TemporaryDirectory dir;
  JournalContent content = kContent;
  content.finals.pop_back();
  ASSERT_TRUE(Journal::create(dir / "j", content));
  EXPECT_EQ(read_journal(dir / "j").error().code(), ErrorCode::kBadData);
  content.files = content.finals = {};
  ASSERT_TRUE(Journal::create(dir / "j", content));
  EXPECT_EQ(read_journal(dir / "j").error().code(), ErrorCode::kBadData);
}

// A file that its owner renamed is not whole for that: its dump's memory must stay held.
TEST(SettleNames, BelievesAFinalNameOnlyWhenAllIsDurable) {
  const TemporaryDirectory dir;
  JournalContent content = kContent;
  content.files = {dir / "x-incomplete"};
  content.finals = {dir / "x"};
  content.durable = {{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{299}}};
  ASSERT_TRUE(write_file_atomically(dir / "x", "dump", 0600));
  ASSERT_TRUE(settle_names(content));
  EXPECT_FALSE(content.published);
  EXPECT_EQ(read_text_file(dir / "x-incomplete", 100).value_or(""), "dump");
  EXPECT_FALSE(std::filesystem::exists(dir / "x"));

  std::filesystem::rename(dir / "x-incomplete", dir / "x");
  content.durable = content.frames;
  ASSERT_TRUE(settle_names(content));
  EXPECT_TRUE(content.published);
  EXPECT_EQ(content.files, content.finals);
}

TEST(Target, NamesFilesInADirectoryByHostAndTime) {
  EXPECT_EQ(dump_directory_name({"web 1/..", 1'000'000'000, "id"}), "web_1_..-20010909T014640");
  EXPECT_EQ(dump_directory_name({"", 0, "id"}), "hadump-id");
  EXPECT_EQ(dump_directory_name({".x", ~0ULL, "id"}), "_x-id");
  const TemporaryDirectory dir;
  const auto target = resolve_target({dir / "new/"}, {"h", 0, "id"});
  ASSERT_TRUE(target);
  EXPECT_THAT(target->files, ElementsAre(dir / "new/h-id/vmcore"));
  EXPECT_EQ(target->log_file, dir / "new/h-id/dmesg.txt");
  const auto mode = std::filesystem::status(dir / "new/h-id").permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_all);
}

TEST(Target, TakesFilesAsTheyAre) {
  const auto target = resolve_target({"/a/x", "/b/y"}, {});
  ASSERT_TRUE(target);
  EXPECT_THAT(target->files, ElementsAre("/a/x", "/b/y"));
  EXPECT_EQ(target->log_file, "/a/x-dmesg.txt");
  EXPECT_TRUE(resolve_target({"-"}, {})->is_stream());
  EXPECT_FALSE(resolve_target({"-", "x"}, {}));
  EXPECT_FALSE(resolve_target({"a\nb"}, {}));
  EXPECT_FALSE(resolve_target({}, {}));
}

TEST(ParseSave, TakesWhatTheManualPageSays) {
  const auto save = parse_save({"--to", "a", "b", "--format", "kdump", "--compress", "zstd:-3",
                                "--dump-level", "1,31", "--threads", "2", "--portion", "64M",
                                "--no-release", "--progress", "json"});
  ASSERT_TRUE(save) << save.error().what();
  EXPECT_THAT(save->to, ElementsAre("a", "b"));
  EXPECT_THAT(save->levels, ElementsAre(1U, 31U));
  EXPECT_EQ(save->codec.level, -3);
  EXPECT_EQ(save->portion_bytes, 64_MiB);
  EXPECT_FALSE(save->release);
  EXPECT_EQ(parse_save({"--to", "-"})->format, OutputFormat::kFlattened);
}

TEST(ParseSave, RefusesWhatCannotBeMeant) {
  using Args = std::vector<std::string>;
  for (const Args& bad :
       {Args{}, Args{"--to", "a", "--dump-level", "32"}, Args{"--to", "a", "--dump-level", "1,"},
        Args{"--to", "a", "--dump-level", "-1"}, Args{"--to", "a", "b", "--format", "elf"},
        Args{"--to", "-", "--format", "elf"}, Args{"--to", "a", "--format", "flattened"},
        Args{"--to", "a", "--ack-fd", "3"}, Args{"--to", "a", "--portion", "0"},
        Args{"--to", "a", "--no"}, Args{"--to", "a", "--compress", "rar"},
        Args{"--to", "a", "--threads", "100000"}})
    EXPECT_FALSE(parse_save(bad)) << testing::PrintToString(bad);
}

TEST(ParseConvert, IsASaveFromAFile) {
  const auto convert = parse_convert({"in", "out", "--format", "elf"});
  ASSERT_TRUE(convert);
  EXPECT_TRUE(convert->vmcore_given);
  EXPECT_THAT(convert->vmcore, ElementsAre("in"));
  EXPECT_THAT(convert->to, ElementsAre("out"));
  EXPECT_FALSE(parse_convert({"in"}));
  EXPECT_FALSE(parse_convert({"in", "out", "more"}));
  EXPECT_FALSE(parse_convert({"in", "out", "--no-release"}));  // Nothing is held of a file.
  const auto mixed = parse_convert({"--format", "elf", "in", "--dump-level=31", "out"});
  ASSERT_TRUE(mixed) << mixed.error().what();
  EXPECT_EQ(mixed->to, std::vector<std::string>{"out"});
  EXPECT_EQ(mixed->vmcore, std::vector<std::string>{"in"});
  EXPECT_EQ(mixed->format, OutputFormat::kElf);
  EXPECT_EQ(mixed->levels, std::vector<unsigned>{31});
  const auto piped = parse_convert({"in", "-"});
  ASSERT_TRUE(piped) << piped.error().what();
  EXPECT_EQ(piped->format, OutputFormat::kFlattened);
}

class FakeClock : public Clock {
 public:
  std::chrono::milliseconds now() const override { return now_; }
  std::chrono::milliseconds now_{0};
};

SaveProgress half_way() {
  SaveProgress progress;
  progress.dump.frames_total = 1000;
  progress.dump.frames_done = 500;
  progress.dump.elapsed = std::chrono::seconds(10);
  progress.bytes_released = 1_MiB;
  return progress;
}

TEST(Progress, IsOneLineForPeopleAndOneObjectForPrograms) {
  EXPECT_THAT(progress_line(half_way()), HasSubstr("saving  50% of 3.906 MiB"));
  EXPECT_THAT(progress_json(half_way()), HasSubstr("\"pages_done\":500,"));
  EXPECT_THAT(progress_json(half_way()), HasSubstr("\"bytes_released\":1048576,"));
  EXPECT_EQ(progress_json(half_way()).find('\n'), std::string::npos);
}

TEST(JsonLog, IsOneObjectALine) {
  std::ostringstream out;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  log.set_formatter(json_log_formatter());
  log.warn("a \"name\"\nof two lines");
  EXPECT_EQ(out.str(),
            "{\"level\":\"warning\",\"message\":\"a \\\"name\\\"\\u000aof two lines\"}\n");
}

TEST(SaveRegistry, KnowsTheNewestFirstAndForgets) {
  const TemporaryDirectory dir;
  const SaveRegistry registry(dir / "new/state");
  EXPECT_TRUE(registry.journals("id")->empty());
  for (const char* journal : {"/a", "/b", "/a"}) ASSERT_TRUE(registry.add("id", journal));
  ASSERT_TRUE(registry.add("other", "/c"));
  EXPECT_THAT(*registry.journals("id"), ElementsAre("/a", "/b"));
  ASSERT_TRUE(registry.forget("id"));
  ASSERT_TRUE(registry.forget("id"));
  EXPECT_TRUE(registry.journals("id")->empty());
  EXPECT_THAT(*registry.journals("other"), ElementsAre("/c"));
}

TEST(Progress, IsShownEveryFiveSecondsInALogAndEachSecondToTheHost) {
  FakeClock clock;
  std::ostringstream out;
  int told = 0;
  ProgressReporter reporter(ProgressMode::kAuto, out, false, clock, [&](const std::string& line) {
    ++told;
    EXPECT_LE(line.size(), 200U);
  });
  for (int ms = 0; ms < 10'000; ms += 100) {
    clock.now_ = std::chrono::milliseconds(ms);
    reporter.update(half_way());
  }
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(told, 10);
}

TEST(Progress, RewritesItsLineOnATerminal) {
  FakeClock clock;
  std::ostringstream out;
  ProgressReporter reporter(ProgressMode::kAuto, out, true, clock, {});
  reporter.update(half_way());
  EXPECT_EQ(out.str().front(), '\r');
  EXPECT_EQ(out.str().find('\n'), std::string::npos);
  reporter.finish(half_way());
  EXPECT_EQ(out.str().back(), '\n');
}

}  // namespace
}  // namespace hadump
