// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_save_with.h"

#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <sstream>

#include "tests/fakes/save/fake_machine.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Words = std::vector<std::string>;

TEST(ParseSaveWith, LeavesTheProgramsWordsAsTheyAre) {
  const auto parsed =
      parse_save_with({"--into", "/var/crash", "--wait", "--", "/bin/x", "--check", "a b", "--"});
  ASSERT_TRUE(parsed) << parsed.error().what();
  EXPECT_EQ(parsed->save.into, "/var/crash");
  EXPECT_TRUE(parsed->save.wait);
  EXPECT_FALSE(parsed->check);
  EXPECT_THAT(parsed->save.words, ElementsAre("/bin/x", "--check", "a b", "--"));
  for (const Words& bad : {Words{}, Words{"--"}, Words{"/bin/x"}, Words{"--into", "/x"},
                           Words{"--nonsense", "--", "/bin/x"}, Words{"/bin/x", "--", "/bin/x"}})
    EXPECT_FALSE(parse_save_with(bad)) << testing::PrintToString(bad);
}

class RunningSaveWith : public testing::Test {
 protected:
  int run(Words words, const Result<ProgramEnd>& end) {
    auto releaser = machine_.releaser();
    SaveSeams seams;
    seams.releaser = releaser.get();
    seams.dump = WaitingDump{std::string(32, 'a'), "added", 1'000'000'000, 1};
    seams.host = "web/1";
    seams.block_bytes = FakeMachine::kBlockFrames * kFrameSize;
    spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(messages_));
    return run_save_with(
        {false, false, {std::move(words), "", true, false}}, seams,
        [&](const ProgramCall& call) {
          words_ = call.words;
          return end;
        },
        log);
  }

  FakeMachine machine_{1, 1, 4};
  std::ostringstream messages_;
  Words words_;
};

TEST_F(RunningSaveWith, NamesTheDumpWhereItIsAsked) {
  EXPECT_EQ(run({"/bin/true", "/x/{}/{}.kdump", "$HOME", "{"}, ProgramEnd{}), kExitOk);
  const std::string name = "web_1-20010909T014640";
  EXPECT_THAT(words_, ElementsAre("/bin/true", "/x/" + name + "/" + name + ".kdump", "$HOME", "{"));
  EXPECT_THAT(messages_.str(), HasSubstr("all memory is back"));
  EXPECT_TRUE(machine_.all_back());
  EXPECT_EQ(run({"/bin/true"}, ProgramEnd{}), kExitNothing);
}

TEST_F(RunningSaveWith, EndsAsTheManPageSays) {
  EXPECT_EQ(run({"/bin/true"}, ProgramEnd{2, 0}), kExitFailed);
  EXPECT_EQ(run({"/bin/true"}, ProgramEnd{0, SIGKILL}), kExitCancelled);
  EXPECT_EQ(run({"/bin/true"}, fail_os(ENOEXEC, "starting /bin/true")), kExitUsage);
  EXPECT_EQ(run({"/bin/none"}, ProgramEnd{}), kExitUsage);
  EXPECT_THAT(messages_.str(), HasSubstr("this command has released nothing. What to do next: "));
  EXPECT_FALSE(machine_.all_back());
  ASSERT_TRUE(machine_.release_by_hand({Gfn{300}, Gfn{301}}));
  EXPECT_EQ(run({"/bin/true"}, ProgramEnd{}), kExitEarlier);
  machine_.release_all_by_hand();
}

}  // namespace
}  // namespace hadump
