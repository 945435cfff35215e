// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_dmesg.h"

#include <gmock/gmock.h>

#include <sstream>

#include "tests/fakes/linux_machine.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/dump_tools/command_info.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Dmesg : public testing::Test {
 protected:
  Dmesg() {
    machine_.add_log(0, "Linux version").add_log(1'234'567'890, "two\nlines \x1b[2J");
    machine_.finish();
  }
  LinuxMachine machine_{{}};
  std::ostringstream out_, err_;
  CommandCall call_{"release-region", {}, {out_, err_, false}};
};

TEST_F(Dmesg, PrintsWhatDmesgPrints) {
  EXPECT_EQ(run_dmesg({}, machine_.dump, call_), kExitOk);
  EXPECT_EQ(out_.str(),
            "[    0.000000] Linux version\n"
            "[    1.234567] two\n"
            "               lines \\x1b[2J\n");
}

TEST_F(Dmesg, PrintsJsonAsDmesgDoes) {
  DmesgOptions options;
  options.json = true;
  EXPECT_EQ(run_dmesg(options, machine_.dump, call_), kExitOk);
  EXPECT_EQ(out_.str(), R"({"dmesg":[{"time":0.0,"msg":"Linux version"},)"
                        R"({"time":1.234567,"msg":"two\nlines \\x1b[2J"}]})"
                        "\n");
}

TEST_F(Dmesg, SaysWhyThereIsNone) {
  EXPECT_EQ(run_dmesg({}, InMemoryVmcore(FrameSet{{Gfn{0}, Gfn{1}}}), call_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("release-region dmesg: no VMCOREINFO"));
}

TEST_F(Dmesg, IsOfTheWaitingDumpUnlessAFileIsNamed) {
  EXPECT_THAT(parse_dmesg({"a", "b", "--json"})->files, ElementsAre("a", "b"));
  EXPECT_EQ(dmesg_command(call_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("/proc/vmcore"));
}

TEST_F(Dmesg, OnAHostAFileIsNeeded) {
  call_.needs_file = true;
  EXPECT_EQ(dmesg_command(call_), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("FILE is needed"));
}

TEST_F(Dmesg, InfoShowsAsManyLinesAsAskedFor) {
  InfoOptions options;
  options.log_lines = 1;
  run_info(options, machine_.dump, call_.io);
  EXPECT_THAT(out_.str(), HasSubstr("end of the kernel log:\n               lines"));
  out_.str("");
  options.log_lines = 0;
  run_info(options, machine_.dump, call_.io);
  EXPECT_THAT(out_.str(), Not(HasSubstr("kernel log")));
}

TEST_F(Dmesg, InfoTakesNoNumberOfLinesThatIsNone) {
  EXPECT_EQ(parse_info({"f", "--log-lines", "0"})->log_lines, 0U);
  for (const char* lines : {"-1", "ten", "99999999999"}) {
    const auto refused = parse_info({"f", "--log-lines", lines});
    ASSERT_FALSE(refused) << lines;
    EXPECT_THAT(refused.error().what(), HasSubstr("--log-lines")) << lines;
  }
}

}  // namespace
}  // namespace hadump
