// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/window_cmdline.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <utility>

#include "core/abi/hadump_abi.h"
#include "core/base/file.h"
#include "hv/rescue/cmdline_words.h"
#include "hv/rescue/window_parameters.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr WindowShare kShare{256_MiB, 1_GiB};

FittedCmdline fit(const std::string& configured, const CmdlinePolicy& policy = {}) {
  return fit_cmdline(configured, kShare, policy);
}

TEST(WindowCmdline, KeepsTheConfiguredOne) {
  EXPECT_EQ(window_cmdline("console=hvc0", kShare, {}, GuestPhys{0x1000}, GuestPhys{0x2000}),
            "console=hvc0 elfcorehdr=0x1000 hadump.node=0x2000 memory_hotplug.memmap_on_memory=1");
  EXPECT_EQ(window_cmdline("", kShare, {}, GuestPhys{0x1000}, GuestPhys{0x2000}),
            "elfcorehdr=0x1000 hadump.node=0x2000 memory_hotplug.memmap_on_memory=1");
}

// Linux reads no parameter after it: the guest would boot without its dump.
TEST(WindowCmdline, AddsNothingBehindTheDoubleDash) {
  const std::string ours = "elfcorehdr=0x1000 hadump.node=0x2000 memory_hotplug.memmap_on_memory=1";
  const std::pair<std::string, std::string> cases[] = {
      {"quiet -- single", "quiet " + ours + " -- single"},
      {"quiet --", "quiet " + ours + " --"},
      {"-- single", ours + " -- single"},
      {"quiet\t--\tx -- y", "quiet\t " + ours + " --\tx -- y"},
      {"quiet \"--\" x", "quiet " + ours + " \"--\" x"},
      {"a=\"b -- c\" d", "a=\"b -- c\" d " + ours},
      {"a=--  --b", "a=--  --b " + ours},
      {"a=\"b -- c", "a=\"b -- c " + ours},
  };
  for (const auto& [configured, expected] : cases)
    EXPECT_EQ(window_cmdline(configured, kShare, {}, GuestPhys{0x1000}, GuestPhys{0x2000}),
              expected);
}

// Linux' own rules: lib/cmdline.c, next_arg().
TEST(CmdlineWords, AreThoseOfLinux) {
  struct Case {
    const char* text;
    const char* name;
    const char* value;
  };
  const Case cases[] = {
      {"a", "a", nullptr},       {"a=", "a", ""},
      {"a=b=c", "a", "b=c"},     {"=a", "=a", nullptr},
      {"=a=b", "=a", "b"},       {"log-buf_len=4M", "log_buf_len", "4M"},
      {"a-b=c-d", "a_b", "c-d"}, {"a=\"b c\"", "a", "b c"},
      {"\"a=b c\"", "a", "b c"}, {"\"a b\"", "a b", nullptr},
      {"a=\"b\"c", "a", "b\"c"}, {"a=b\"c d\"", "a", "b\"c d\""},
      {"a=\"", "a", ""},         {"\"", "", nullptr},
      {"a=\"b c", "a", "b c"},   {"\"a=\"b c\"\"", "a", "b"},  // the blank is outside the quotes
  };
  for (const Case& one : cases) {
    const CmdlineParts parts = split_cmdline(one.text);
    ASSERT_FALSE(parts.words.empty()) << one.text;
    const CmdlineWord& word = parts.words.front();
    EXPECT_EQ(word.name, one.name) << one.text;
    EXPECT_EQ(word.has_value, one.value != nullptr) << one.text;
    if (one.value != nullptr) {
      EXPECT_EQ(word.value, one.value) << one.text;
    }
  }
}

TEST(FitCmdline, HoldsBackWhatIsTakenOutOfTheWindow) {
  const std::pair<const char*, const char*> cases[] = {
      {"quiet hugepages=64 ro", "quiet ro"},
      {"hugepages=64", ""},
      {"hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=512 ro", "ro"},
      {"default_hugepagesz=1G hugepages=4", "default_hugepagesz=1G"},
      {"hugepages=0:512,1:512 ro", "ro"},
      {"hugetlb_cma=1G cma=64M@0-4G crashkernel=512M,high a", "a"},
      {"hugetlb-cma=0:1G \"crashkernel=256M\" a", "a"},
      {"kernelcore=10% movablecore=4G reserve_mem=12M:4096:trace a", "a"},
      {"numa=fake=4 numa=off", "numa=off"},
      {"hugepages crashkernel", "hugepages crashkernel"},  // Linux ignores them
      {"ahugepages=1 hugepagesx=2", "ahugepages=1 hugepagesx=2"},
      {"a -- hugepages=64", "a -- hugepages=64"},  // init's
      {"a=\"hugepages=64 b\"", "a=\"hugepages=64 b\""},
  };
  for (const auto& [configured, expected] : cases)
    EXPECT_EQ(fit(configured).text, expected) << configured;
}

// exactmap would make RAM of the old memory before anybody has claimed it.
TEST(FitCmdline, LetsNobodyElseSayWhereTheDumpIs) {
  const CmdlinePolicy policy{.add = "", .drop = {}, .keep = {"memmap", "elfcorehdr"}};
  EXPECT_EQ(fit("memmap=exactmap memmap=640K@0 memmap=1023M@1M elfcorehdr=1M hadump.node=0 "
                "hadump.node hadump.held=x memory_hotplug.memmap_on_memory=0 a",
                policy)
                .text,
            "a");
}

// A quarter of the memory: a quarter of the number.
TEST(FitCmdline, ScalesWhatIsMadeAtBoot) {
  const std::pair<const char*, const char*> cases[] = {
      {"log_buf_len=16M", "log_buf_len=4194304"},
      {"log_buf_len=12M a", "log_buf_len=2097152 a"},  // a power of two
      {"log-buf-len=16777216", "log_buf_len=4194304"},
      {"swiotlb=65536,force", "swiotlb=16384,force"},
      {"swiotlb=force", "swiotlb=force"},
      {"swiotlb=\"8 x\"", "\"swiotlb=2 x\""},
      {"dhash_entries=0x1000 ihash_entries=4096M", "dhash_entries=1024 ihash_entries=1024M"},
      {"thash_entries=3 uhash_entries=0", "thash_entries=0 uhash_entries=0"},
      {"mhash_entries=99999999999999999999 a", "a"},  // Linux would see another number
      {"trace_buf_size=10E a", "trace_buf_size=2305843009213693952 a"},
      {"log_buf_len=99E a", "a"},
      {"log_buf_len= a", "log_buf_len= a"},
  };
  for (const auto& [configured, expected] : cases)
    EXPECT_EQ(fit(configured).text, expected) << configured;
  EXPECT_EQ(fit_cmdline("log_buf_len=16M", {1_GiB, 1_GiB}, {}).text, "log_buf_len=16M");
}

TEST(FitCmdline, TellsWhatWasHeldBack) {
  const std::pair<const char*, const char*> cases[] = {
      {"a", ""},
      {"log_buf_len=16M", ""},
      {"hugepages=64", "hugepages=64"},
      {"hugepagesz=2M hugepages=64", "hugepages-2048kB=64"},
      {"hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=512",
       "hugepages-1048576kB=4;hugepages-2048kB=512"},
      {"default_hugepagesz=1G hugepages=4", "hugepages-1048576kB=4"},
      {"hugepages=0:512,1:0,2:7", "hugepages=0:512,2:7"},
      {"hugepages=0:512,", "hugepages=0:512"},
      {"hugepages=0", ""},
      {"hugepages=64 hugepages=32", "hugepages=64"},  // Linux ignores the second
      {"hugepagesz=nonsense hugepages=32", "hugepages"},
      {"hugepages=many", "hugepages"},
      {"hugepages=many hugepages=5 hugepages=6", "hugepages=5"},
      {"hugepages=1,2", "hugepages=1"},
      {"hugepages=99999:1", "hugepages"},
      {"hugepages=99999999999999999999", "hugepages"},
      {"crashkernel=256M cma=1G crashkernel=1G,high memmap=1G", "crashkernel;cma"},
      {"numa=fake=2 numa=off", "numa"},
  };
  for (const auto& [configured, expected] : cases)
    EXPECT_EQ(fit(configured).held, expected) << configured;
}

TEST(FitCmdline, DoesWhatThePolicySays) {
  const std::string configured = "hugepagesz=1G hugepages=2 crashkernel=256M quiet ro -- x";
  EXPECT_EQ(fit(configured, {.add = "", .drop = {}, .keep = {"hugepages"}}).text,
            "hugepagesz=1G hugepages=2 quiet ro -- x");
  EXPECT_EQ(fit(configured, {.add = "", .drop = {}, .keep = {"hugepages"}}).held, "crashkernel");
  EXPECT_EQ(fit(configured, {.add = "a=\"b c\" d", .drop = {"quiet"}, .keep = {}}).text,
            "ro a=\"b c\" d -- x");
  const FittedCmdline dropped =
      fit(configured, {.add = "", .drop = {"hugepages"}, .keep = {"hugepages"}});
  EXPECT_EQ(dropped.text, "quiet ro -- x");
  EXPECT_EQ(dropped.held, "crashkernel");
  EXPECT_EQ(fit("", {.add = "a", .drop = {}, .keep = {}}).text, "a");
}

TEST(CmdlinePolicies, AreRefusedWhereTheyCannotBeMeant) {
  EXPECT_TRUE(parse_cmdline_words("a=\"b c\" d"));
  for (const char* bad : {"a=\"b", "a -- b", "memmap=1G$4G", "hadump.node=1", "hadump.held=x"})
    EXPECT_FALSE(parse_cmdline_words(bad)) << bad;
  EXPECT_THAT(*parse_cmdline_names("log-buf-len  quiet"), ElementsAre("log_buf_len", "quiet"));
  for (const char* bad : {"hugepages=", "hugepages=64", "\"a\"", "a --"})
    EXPECT_FALSE(parse_cmdline_names(bad)) << bad;
  EXPECT_TRUE(parse_kept_names("hugepages crashkernel"));
  EXPECT_THAT(parse_kept_names("memmap").error().what(), HasSubstr("memmap cannot be kept"));
}

TEST(WindowCmdline, TellsTheGuestWhatWasHeldBack) {
  EXPECT_EQ(window_cmdline("a hugepages=64 -- b", kShare, {}, GuestPhys{0x1000}, GuestPhys{0x2000}),
            "a elfcorehdr=0x1000 hadump.node=0x2000 memory_hotplug.memmap_on_memory=1 "
            "hadump.held=hugepages=64 -- b");
}

TEST(WindowCmdline, RatherBootsThanTells) {
  const std::string ours =
      " elfcorehdr=0x1000 hadump.node=0x2000 memory_hotplug.memmap_on_memory=1";
  for (const bool fits : {true, false}) {
    const std::size_t room = kMaxCmdline - ours.size() - (fits ? 40 : 10);
    const std::string configured = "hugepages=64 " + std::string(room, 'x');
    const std::string text =
        window_cmdline(configured, kShare, {}, GuestPhys{0x1000}, GuestPhys{0x2000});
    EXPECT_LE(text.size(), kMaxCmdline);
    EXPECT_EQ(text.find("hadump.held=") != std::string::npos, fits);
  }
}

TEST(WindowCmdline, AsksForARescueBoot) {
  EXPECT_EQ(window_cmdline("a hadump.rescue=0 hugepages=64 -- b", kShare, {}, GuestPhys{0x1000},
                           GuestPhys{0x2000}, /*rescue_boot=*/true),
            "a elfcorehdr=0x1000 hadump.node=0x2000 memory_hotplug.memmap_on_memory=1 "
            "hadump.rescue=1 hadump.held=hugepages=64 -- b");
  for (std::size_t room = kMaxCmdline - 120; room < kMaxCmdline; ++room) {
    const std::string text =
        window_cmdline("hugepages=64 " + std::string(room, 'x'), kShare, {}, GuestPhys{0x1000},
                       GuestPhys{0x2000}, /*rescue_boot=*/true);
    if (text.find("hadump.rescue=1") == std::string::npos) continue;
    ASSERT_LE(text.size(), kMaxCmdline) << room;
  }
}

TEST(WindowCmdline, TellsNoMoreThanTheGuestReads) {
  std::string configured = "hugepages=0:1";
  for (int node = 1; node < 300; ++node) configured += fmt::format(",{}:1", node);
  EXPECT_EQ(fit(configured + " cma=1G").held, "cma");
}

// Any command line of these, with any blanks between them.
class RandomCmdline {
 public:
  explicit RandomCmdline(unsigned seed) : random_(seed) {}
  std::string text() {
    std::string text;
    for (unsigned n = pick(12); n > 0; --n) {
      for (unsigned blanks = 1 + pick(2); blanks > 0; --blanks) text += pick(4) == 0 ? '\t' : ' ';
      text += word();
    }
    return text;
  }
  unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }

 private:
  std::string word() {
    static constexpr const char* kOthers[] = {"quiet",
                                              "root=/dev/xvda1",
                                              "a=\"b hugepages=9 c\"",
                                              "console=hvc0,115200",
                                              "x-y_z=1",
                                              "\"p q\"=r",
                                              "=",
                                              "a==b",
                                              "noapic=\"\""};
    if (pick(3) == 0) return kOthers[pick(std::size(kOthers))];
    if (pick(20) == 0) return "--";
    static constexpr const char* kValues[] = {
        "64", "2M",     "0:4,1:8", "1G@4G",   "force",
        "",   "fake=4", "off",     "\"7 8\"", "9999999999999999999999"};
    std::string name(kWindowParameters[pick(std::size(kWindowParameters))].name);
    for (char& c : name)
      if (c == '_' && pick(2) == 0) c = '-';
    const std::string value = kValues[pick(std::size(kValues))];
    switch (pick(4)) {
      case 0:
        return name;
      case 1:
        return '"' + name + "=64\"";
      default:
        return name + '=' + value;
    }
  }
  std::mt19937 random_;
};

std::vector<std::string> texts(const CmdlineParts& parts, bool of_others) {
  std::vector<std::string> found;
  for (const CmdlineWord& word : parts.words)
    if (!of_others || find_window_parameter(word.name, word.value) == nullptr)
      found.emplace_back(word.text);
  return found;
}

TEST(FitCmdlineProperty, HoldsForAnyCommandLine) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    RandomCmdline random(seed);
    const std::string configured = random.text();
    const FittedCmdline fitted = fit(configured);
    const CmdlineParts before = split_cmdline(configured);
    const CmdlineParts after = split_cmdline(fitted.text);
    SCOPED_TRACE(fmt::format("seed {}: '{}' -> '{}'", seed, configured, fitted.text));
    // What nobody knows of stays, in its order; what is init's stays byte for byte.
    ASSERT_EQ(texts(before, true), texts(after, true));
    ASSERT_EQ(before.rest, after.rest);
    ASSERT_LE(fitted.held.size(), HADUMP_MAX_HELD);
    ASSERT_EQ(fitted.held.find_first_not_of("abcdefghijklmnopqrstuvwxyzBG_-=;:,.0123456789"),
              std::string::npos);
    for (const CmdlineWord& word : after.words) {
      const WindowParameter* parameter = find_window_parameter(word.name, word.value);
      if (parameter == nullptr) continue;
      ASSERT_NE(parameter->treatment, WindowTreatment::kReserved) << word.text;
      ASSERT_FALSE(parameter->treatment == WindowTreatment::kHeldBack && word.has_value)
          << word.text;
    }
    // What was held back once is not there to be held back again.
    ASSERT_EQ(fit(fitted.text).held, "");
  }
}

TEST(FitCmdlineProperty, KeepsAllThatThePolicyKeeps) {
  CmdlinePolicy policy;
  for (const WindowParameter& one : kWindowParameters) policy.keep.emplace_back(one.name);
  for (unsigned seed = 0; seed < 1000; ++seed) {
    RandomCmdline random(seed);
    const std::string configured = random.text();
    const FittedCmdline fitted = fit(configured, policy);
    EXPECT_EQ(fitted.held, "");
    std::vector<std::string> expected;
    for (const CmdlineWord& word : split_cmdline(configured).words) {
      const WindowParameter* known = find_window_parameter(word.name, word.value);
      if (known == nullptr || known->treatment != WindowTreatment::kReserved)
        expected.emplace_back(word.text);
    }
    ASSERT_EQ(texts(split_cmdline(fitted.text), false), expected) << configured;
  }
}

TEST(FitCmdlineProperty, DropsAllThatThePolicyDrops) {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    RandomCmdline random(seed);
    const std::string configured = random.text();
    CmdlinePolicy policy;
    policy.drop = {std::string(kWindowParameters[random.pick(std::size(kWindowParameters))].name),
                   "quiet"};
    policy.keep = policy.drop;
    for (const CmdlineWord& word : split_cmdline(fit(configured, policy).text).words)
      ASSERT_EQ(std::count(policy.drop.begin(), policy.drop.end(), word.name), 0) << configured;
  }
}

// docs/real-machines.md has a row for each parameter, in the table's order.
TEST(WindowParameters, AreTheDocumentedOnes) {
  const auto text = read_text_file(HADUMP_SOURCE_DIR "/docs/real-machines.md", 1_MiB);
  ASSERT_TRUE(text) << text.error().what();
  std::string expected = "| parameter | in the window | afterwards | why |\n|---|---|---|---|\n";
  for (const WindowParameter& one : kWindowParameters) {
    static constexpr const char* kTreatments[] = {"kept", "scaled", "held back", "hadumpd's"};
    const bool gone = one.treatment == WindowTreatment::kHeldBack;
    const bool scaled = one.treatment == WindowTreatment::kScaled;
    expected +=
        fmt::format("| `{}{}{}` | {} | {} | {} |\n", one.name, one.name.ends_with('*') ? "" : "=",
                    one.value, kTreatments[static_cast<int>(one.treatment)],
                    one.comes_back   ? "set again"
                    : gone || scaled ? "at the next reboot"
                                     : "",
                    one.why);
  }
  EXPECT_THAT(*text, HasSubstr(expected));
}

}  // namespace
}  // namespace hadump
