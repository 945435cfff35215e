// SPDX-License-Identifier: GPL-2.0-or-later
// The path of the target leads elsewhere from some moment of a save on, as when an admin or
// somebody who may change a directory on the way moves it. Whatever the moment: the save goes on
// where it began, and nothing elsewhere is read, written, renamed or removed.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "core/base/file.h"
#include "core/save/journal.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxFile = 1 << 20;

class SwappedDirectory : public testing::Test {
 protected:
  SwappedDirectory() {
    fs::create_directory(dir_ / "target");
    fs::create_directory(dir_ / "elsewhere");
    for (const char* name : {"vmcore-incomplete", "vmcore-incomplete.1", ".vmcore.hadump-journal",
                             "vmcore-dmesg.txt", "other"})
      EXPECT_TRUE(write_file_atomically(dir_ / "elsewhere/" + name, "precious", 0600));
  }
  /// Swaps at the `nth` step of the machine, once.
  void swap_at(FakeMachine& machine, std::uint64_t nth) {
    machine.on_step([this, nth, steps = std::uint64_t{0}]() mutable {
      if (++steps != nth) return;
      fs::rename(dir_ / "target", dir_ / "moved");
      fs::create_directory_symlink(dir_ / "elsewhere", dir_ / "target");
    });
  }
  bool is_swapped() const { return fs::exists(dir_ / "moved"); }
  SaveRun save(FakeMachine& machine) {
    return save_here(machine, save_options(dir_ / "target/vmcore", find_output_format("kdump")));
  }
  void expect_untouched_elsewhere() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(dir_ / "elsewhere"))
      found[entry.path().filename()] = read_text_file(entry.path(), kMaxFile).value_or("");
    EXPECT_EQ(found.size(), 5U);
    for (const auto& [name, content] : found) EXPECT_EQ(content, "precious") << name;
  }

  TemporaryDirectory dir_;
};

TEST_F(SwappedDirectory, ASaveEndsWhereItBegan) {
  for (std::uint64_t nth = 1;; nth = nth < 8 ? nth + 1 : nth * 2) {
    SCOPED_TRACE(nth);
    FakeMachine machine(nth, 1, 4);
    swap_at(machine, nth);
    const SaveRun run = save(machine);
    if (!is_swapped()) break;  // The save has fewer steps.
    EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
    EXPECT_EQ(machine.violation(), "");
    expect_truth({dir_ / "moved/vmcore"}, machine, machine.old_frames());
    EXPECT_FALSE(fs::exists(journal_path(dir_ / "moved/vmcore")));
    expect_untouched_elsewhere();
    fs::remove(dir_ / "target");
    fs::remove_all(dir_ / "moved");
    fs::create_directory(dir_ / "target");
  }
}

// What the first one has written is the only copy: it is read where it is, and nowhere else.
TEST_F(SwappedDirectory, ASecondSaveGoesOnWhereTheFirstOneWas) {
  for (std::uint64_t nth = 1;; nth = nth < 8 ? nth + 1 : nth * 2) {
    SCOPED_TRACE(nth);
    FakeMachine machine(nth, 1, 4);
    machine.kill_after(12);
    ASSERT_EQ(
        save_in_child(machine, save_options(dir_ / "target/vmcore", find_output_format("kdump"))),
        FakeMachine::kKilled);
    machine.kill_after(0);
    swap_at(machine, nth);
    const SaveRun run = save(machine);
    if (!is_swapped()) break;
    EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
    EXPECT_EQ(machine.violation(), "");
    expect_truth({dir_ / "moved/vmcore"}, machine, machine.old_frames());
    expect_untouched_elsewhere();
    fs::remove(dir_ / "target");
    fs::remove_all(dir_ / "moved");
    fs::create_directory(dir_ / "target");
  }
}

}  // namespace
}  // namespace hadump
