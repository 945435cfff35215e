// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/policy.h"

#include <gmock/gmock.h>

#include <fstream>

#include "hv/agent/crash_limit.h"
#include "hv/domain/domid.h"
#include "hv/hadumpd/options.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST(Policies, LaterAndNarrowerSectionsWin) {
  const auto table = parse_policies(
      "[domain db-*]\nwindow = 512M\n[default]\nwindow = 384MiB\nmax-crashes = 9\n"
      "[domain db-test]\nenabled = no\n",
      "file");
  ASSERT_TRUE(table) << table.error().what();
  EXPECT_EQ(table->for_domain("web").window_bytes, 384ULL << 20);
  EXPECT_EQ(table->for_domain("db-1").window_bytes, 512ULL << 20);
  EXPECT_EQ(table->for_domain("db-1").max_crashes, 9U);
  EXPECT_FALSE(table->for_domain("db-test").enabled);
}

TEST(Policies, ChooseTheWindowOrNot) {
  const auto table = parse_policies(
      "[domain db]\nwindow = 512M\n[domain web]\nwindow-max = 2G\n"
      "[domain db-2]\nwindow = 512M\n[domain db-*]\nwindow = auto\n",
      "file");
  ASSERT_TRUE(table) << table.error().what();
  EXPECT_TRUE(table->for_domain("any").window_auto) << "the default";
  EXPECT_EQ(table->for_domain("any").window_max, 1ULL << 30);
  EXPECT_FALSE(table->for_domain("db").window_auto);
  EXPECT_EQ(table->for_domain("web").window_max, 2ULL << 30);
  EXPECT_TRUE(table->for_domain("db-2").window_auto) << "the later one";
  for (const char* bad : {"window = some\n", "window =\n", "window-max = auto\n",
                          "window-max = 0\n", "window-max = 200M\n"})
    EXPECT_FALSE(parse_policies("[default]\n" + std::string(bad), "file")) << bad;
}

TEST(Policies, SayWhoMaySendStreams) {
  const auto table = parse_policies(
      "[domain db-*]\nstream = yes\nstream-max-size = 2G\nstream-max-count = 3\n"
      "[streams]\ndirectory = /d\nmax-running = 2\nkeep-free = 5M\n",
      "file");
  ASSERT_TRUE(table) << table.error().what();
  EXPECT_FALSE(table->for_domain("web").stream.allowed) << "off by default";
  const StreamPolicy stream = table->for_domain("db-1").stream;
  EXPECT_TRUE(stream.allowed);
  EXPECT_EQ(stream.max_bytes, 2ULL << 30);
  EXPECT_EQ(stream.max_files, 3U);
  EXPECT_EQ(table->streams().directory, "/d");
  EXPECT_EQ(table->streams().max_running, 2U);
  EXPECT_EQ(table->streams().keep_free, 5U << 20);
  for (const char* bad :
       {"[default]\nstream = perhaps\n", "[default]\nstream-x = 1\n", "[default]\nstreams = yes\n",
        "[default]\nstream-max-count = 10001\n", "[streams]\nmax-running = 0\n",
        "[streams]\nmax-running = 257\n", "[streams]\ndirectory = here\n", "[streams]\nx = 1\n"})
    EXPECT_FALSE(parse_policies(bad, "file")) << bad;
}

TEST(Policies, SayHowACrashIsCaptured) {
  const auto table = parse_policies(
      "[default]\non-crash = capture\ncapture-to = /var/crash/\ncapture-mode = alias\n"
      "capture-format = elf\ncapture-compress = none\ncapture-dump-level = 1,31\n"
      "[domain db-*]\non-crash = auto\n",
      "file");
  ASSERT_TRUE(table) << table.error().what();
  const DomainPolicy web = table->for_domain("web");
  EXPECT_EQ(web.on_crash, OnCrash::kCapture);
  EXPECT_EQ(web.capture.to, "/var/crash/");
  EXPECT_EQ(web.capture.mode, "alias");
  EXPECT_EQ(web.capture.format, "elf");
  EXPECT_EQ(web.capture.compress, "none");
  EXPECT_EQ(web.capture.dump_level, "1,31");
  EXPECT_EQ(table->for_domain("db-1").on_crash, OnCrash::kAuto);
  EXPECT_EQ(DomainPolicy().on_crash, OnCrash::kRebootInPlace);
  for (const char* bad :
       {"on-crash = maybe", "capture-to = here", "capture-to =", "capture-mode = magic",
        "capture-format = flattened", "capture-format = tape", "capture-compress = zip",
        "capture-dump-level = 32", "capture-color = red"}) {
    const auto refused = parse_policies(std::string("[default]\n") + bad + "\n", "file");
    EXPECT_FALSE(refused) << bad;
  }
}

TEST(Policies, SayWhatTheWindowIsToldByItsCommandLine) {
  const auto table = parse_policies(
      "[default]\nwindow-cmdline-drop = quiet log-buf-len\nwindow-cmdline-keep = hugepages\n"
      "[domain db-*]\nwindow-cmdline-add = loglevel=7 a=\"b c\"\nwindow-cmdline-keep =\n",
      "file");
  ASSERT_TRUE(table) << table.error().what();
  const CmdlinePolicy db = table->for_domain("db-1").window_cmdline;
  EXPECT_EQ(db.add, "loglevel=7 a=\"b c\"");
  EXPECT_EQ(db.drop, (std::vector<std::string>{"quiet", "log_buf_len"}));
  EXPECT_TRUE(db.keep.empty());
  EXPECT_EQ(table->for_domain("web").window_cmdline.keep, std::vector<std::string>{"hugepages"});
  for (const char* bad : {"add = a -- b", "add = a=\"b", "add = memmap=1G@0", "keep = memmap",
                          "drop = quiet=1", "move = a"})
    EXPECT_FALSE(parse_policies(std::string("[default]\nwindow-cmdline-") + bad + "\n", "file"))
        << bad;
}

TEST(Policies, NameFilesThatAreThere) {
  const std::string good = testing::TempDir() + "hadump-policy-kernel";
  std::ofstream(good) << "kernel";
  const auto check = [](const std::string& text) { return check_named_files(text, "file"); };
  EXPECT_TRUE(check("[default]\nkernel = " + good + "\nramdisk =\n"));
  const auto missing = check("[domain web]\nkernel = " + good + "\nramdisk = " + good + "-2\n");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().what(), HasSubstr("file: line 3: [domain web] ramdisk: opening " +
                                                good + "-2: No such file"));
  const auto directory = check("[domain web]\nkernel = /proc\n");
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().what(), HasSubstr("/proc is not a file"));
  std::remove(good.c_str());
}

// A '#' inside a value belongs to it: what is cut off a command line would be missed at the crash.
TEST(Policies, BeginCommentsAtAHashBehindASpace) {
  const auto table = parse_policies(
      "# a comment\n  # another\n[default] # a section's\ncmdline = root=/dev/xvda1 foo=a#b # why\n"
      "kernel=/boot/a#1\t# tab\r\n\n  ramdisk   =   /boot/b  \n[domain a.b#1]\nmax-crashes = 7#\n",
      "file");
  ASSERT_FALSE(table);  // of the last line only
  EXPECT_THAT(table.error().what(), HasSubstr("file: line 9: [domain a.b#1] max-crashes"));
  const auto good = parse_policies(
      "# a comment\n  # another\n[default] # a section's\ncmdline = root=/dev/xvda1 foo=a#b # why\n"
      "kernel=/boot/a#1\t# tab\r\n\n  ramdisk   =   /boot/b  \n[domain a.b#1]\nmax-crashes = 7\n",
      "file");
  ASSERT_TRUE(good) << good.error().what();
  EXPECT_EQ(good->for_domain("x").cmdline, "root=/dev/xvda1 foo=a#b");
  EXPECT_EQ(good->for_domain("x").kernel, "/boot/a#1");
  EXPECT_EQ(good->for_domain("x").ramdisk, "/boot/b");
  EXPECT_EQ(good->for_domain("x").max_crashes, 3U);
  EXPECT_EQ(good->for_domain("a.b#1").max_crashes, 7U);
}

TEST(Policies, SayWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"[default]\nwindow = 100M\n", "not a multiple"},
      {"[default]\nwindow = many\n", "many"},
      {"[default]\nwindw = 256M\n", "unknown key 'windw'"},
      {"[domains x]\nwindow = 256M\n", "section [domains x]"},
      {"[cores]\ncount = 2\n", "[cores] count: unknown key"},
      {"[cores]\nmax-size = much\n", "[cores] max-size: "},
      {"[cores]\ndirectory = cores\n", "not an absolute path"},
      {"window = 256M\n", "section []"},
      {"[default]\nwindow\n", "line 2: 'window' is neither a [section] nor KEY = VALUE"},
      {"[default\nwindow = 256M\n", "line 1: '[default' is neither"},
      {"[default]\n= 256M\n", "line 2"},
      {"[default]\nsave-area = here\n", "neither 'added' nor"},
      {"[default]\nenabled = perhaps\n", "neither yes nor no"},
      {"[default]\nkernel = vmlinux\n", "not an absolute path"},
      {"[default]\nmax-crashes = 4294967296\n", "more than 1000"},  // 0 in 32 bits
      {"[default]\ncrash-period = 9223372036854775808\n", "more than"},
      {"[default]\nbackend-timeout = 18446744073709551615\n", "more than"},
      {"[default]\ncapture-format = elf\n[domain web*]\ncapture-compress = zstd\n",
       "[domain web*] do not go together: --compress: the format elf is not compressed"},
  };
  for (const auto& [text, complaint] : cases) {
    const auto table = parse_policies(text, "hadumpd.conf");
    ASSERT_FALSE(table) << text;
    EXPECT_THAT(table.error().what(), HasSubstr(complaint));
    EXPECT_THAT(table.error().what(), HasSubstr("hadumpd.conf"));
  }
}

TEST(CrashLimit, CountsOnlyWhatIsRecent) {
  DomainPolicy policy;
  policy.max_crashes = 2;
  policy.crash_period = std::chrono::seconds(100);
  EXPECT_FALSE(crashes_too_often({}, 1000, policy));
  EXPECT_FALSE(crashes_too_often({100, 950}, 1000, policy));
  EXPECT_TRUE(crashes_too_often({100, 950, 960}, 1000, policy));
  policy.max_crashes = 0;
  EXPECT_TRUE(crashes_too_often({}, 1000, policy));
}

// Seconds since 1970, by an older hadumpd, or by one that ran before this clock began.
TEST(CrashLimit, DoesNotCountWhatLiesAhead) {
  DomainPolicy policy;
  policy.max_crashes = 1;
  EXPECT_FALSE(crashes_too_often({1800000000}, 1000, policy));
  EXPECT_FALSE(crashes_too_often({~0ULL}, 1000, policy));
  EXPECT_TRUE(crashes_too_often({1000}, 1000, policy));
}

TEST(CrashLimit, ItsClockIsTheHostsAge) {
  std::ifstream uptime("/proc/uptime");
  double seconds = 0;
  ASSERT_TRUE(uptime >> seconds);
  EXPECT_NEAR(static_cast<double>(seconds_since_boot()), seconds, 2);
}

TEST(HostLimits, CountAddedSaveAreasOfOtherDomains) {
  DomainRecord added;
  added.uuid = "a";
  added.save_area = frames_of_bytes(4_GiB, 2_MiB);
  DomainRecord registered = added;
  registered.uuid = "r";
  registered.mode = SaveMode::kRegistered;
  DomainRecord done = added;
  done.uuid = "d";
  done.save_area = {};
  const std::vector records = {added, registered, done};

  EXPECT_TRUE(room_for_save_area(records, "new", {}).may_add);
  EXPECT_TRUE(room_for_save_area(records, "new", {.max_save_areas = 2}).may_add);
  EXPECT_FALSE(room_for_save_area(records, "new", {.max_save_areas = 1}).may_add);
  EXPECT_TRUE(room_for_save_area(records, "a", {.max_save_areas = 1}).may_add);

  EXPECT_GT(room_for_save_area(records, "new", {}).bytes, 1ULL << 50);
  EXPECT_EQ(room_for_save_area(records, "new", {.max_save_bytes = 5_MiB}).bytes, 3_MiB);
  EXPECT_EQ(room_for_save_area(records, "a", {.max_save_bytes = 5_MiB}).bytes, 5_MiB);
  EXPECT_EQ(room_for_save_area(records, "new", {.max_save_bytes = 1_MiB}).bytes, 0U);
  const SaveRoom beside = room_for_save_area(
      records, "new", {.max_save_areas = 2, .max_save_bytes = 5_MiB}, /*kept_bytes=*/1_MiB);
  EXPECT_EQ(beside.bytes, 2_MiB);
  EXPECT_TRUE(beside.may_add) << "a domain that is kept has no save area";
}

TEST(HostLimits, AreASectionOfTheirOwn) {
  const auto table = parse_policies("[host]\nkeep-free = 1G\nmax-save-areas = 3\n", "hadumpd.conf");
  ASSERT_TRUE(table) << table.error().what();
  EXPECT_EQ(table->host().keep_free_bytes, 1_GiB);
  EXPECT_EQ(table->host().max_save_areas, 3U);
  EXPECT_EQ(parse_policies("", "hadumpd.conf")->host().keep_free_bytes, 64_MiB);
  EXPECT_FALSE(parse_policies("[host]\nwindow = 256M\n", "hadumpd.conf"));
  EXPECT_FALSE(parse_policies("[host]\nmax-save-areas = 32752\n", "hadumpd.conf"));
  EXPECT_FALSE(parse_policies("[default]\nkeep-free = 1G\n", "hadumpd.conf"));
}

TEST(Domid, IsRefusedRatherThanCut) {
  EXPECT_EQ(checked_domid(0x7fef).value(), 0x7fefU);
  for (std::uint64_t number : {0x7ff0ULL, 0x10001ULL, 0x100000001ULL, ~0ULL})
    EXPECT_FALSE(checked_domid(number)) << number;
}

// One that was refused is not counted, so that the domain is seen to when the period is over.
TEST(CrashLimit, NamesTheLimitAndDoesNotCountBeyondIt) {
  DomainPolicy policy;
  policy.max_crashes = 1;
  policy.crash_period = std::chrono::seconds(100);
  DomainRecord record;
  ASSERT_TRUE(count_crash(record, 1000, policy));
  record.crash_counted = false;  // it was booted again

  const auto refused = count_crash(record, 1050, policy);

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(refused.error().what(), HasSubstr("crashed more than 1 times within 100 s"));
  EXPECT_THAT(record.crashes, testing::ElementsAre(1000));
  EXPECT_TRUE(count_crash(record, 1100, policy));
}

TEST(CrashLimit, RemembersAsManyAsALargeLimitNeeds) {
  DomainPolicy policy;
  policy.max_crashes = 100;
  DomainRecord record;
  for (unsigned i = 0; i < policy.max_crashes; ++i) {
    record.crash_counted = false;
    ASSERT_TRUE(count_crash(record, 1000 + i, policy)) << i;
  }
  record.crash_counted = false;
  EXPECT_FALSE(count_crash(record, 1200, policy));
}

TEST(DaemonOptions, AreParsed) {
  const auto options = parse_daemon_options({"--once", "12", "-d", "--config=/x"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->once, "12");
  EXPECT_TRUE(options->debug);
  EXPECT_TRUE(options->config_given);
  EXPECT_FALSE(parse_daemon_options({"--onec", "12"}));
  const auto stray = parse_daemon_options({"stray"});
  ASSERT_FALSE(stray);
  EXPECT_EQ(stray.error().what(), "too many arguments; there are options only");
}

}  // namespace
}  // namespace hadump
