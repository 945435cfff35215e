// SPDX-License-Identifier: GPL-2.0-or-later
// What a save says when somebody has to do something.
#include <gmock/gmock.h>

#include <fstream>

#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST(Messages, AFileThatIsThereStaysAndTheUserLearnsWhatToDo) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  std::ofstream(dir / "vmcore") << "precious";
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", find_output_format("kdump")));
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.messages, HasSubstr("creating " + (dir / "vmcore") + ": File exists"));
  EXPECT_THAT(run.messages,
              HasSubstr("What to do next: choose another file, or move this one away"));
  EXPECT_EQ(std::filesystem::file_size(dir / "vmcore"), 8U);
}

}  // namespace
}  // namespace hadump
