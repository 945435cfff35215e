// SPDX-License-Identifier: GPL-2.0-or-later
// Random lives of a waiting dump: savers that are killed, run full or overtake each other, an
// admin's hand, blocks that Linux refuses, crashes again. tests/campaign/fake runs many of them.
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "core/save/journal.h"
#include "tests/campaign/seeds.h"
#include "tests/unit/core/save/dump_claims.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

class SaveLife {
 public:
  explicit SaveLife(std::uint64_t seed)
      : random_(seed),
        format_(find_output_format(seed % 2 == 0 ? "kdump" : "elf")),
        window_blocks_(1 + below(2)),
        ram_blocks_(window_blocks_ + 2 + below(3)),
        machine_(seed, window_blocks_, ram_blocks_) {
    fs::create_directory(targets());
    lay_out();
    all_ = machine_.old_frames();
    window_ = all_.intersection({Gfn{0}, Gfn{window_blocks_ * FakeMachine::kBlockFrames}});
  }

  /// Anything may happen.
  void live() {
    for (std::uint64_t i = 1 + below(7); i > 0 && !machine_.all_back(); --i) something_happens();
    machine_.kill_after(0);
    machine_.refuse_releases(ErrorCode::kOs, 0);
    machine_.on_step({});
    note("the end of the disturbances");
    expect_nothing_lost();
  }

  /// Nothing disturbs this save: it must end.
  void end() {
    SaveOptions options = options_to(below(3) == 0 ? "last" : any_target());
    for (int attempt = 0; attempt < 5 && !machine_.all_back(); ++attempt) {
      const SaveRun run = save_here(machine_, options, kNoLimit, state());
      note("last " + options.to.front() + ": " + std::to_string(run.exit_code) + "\n" +
           run.messages);
      EXPECT_THAT(run.exit_code, AnyOf(kExitOk, kExitIncomplete, kExitHeld, kExitEarlier));
      if (run.exit_code == kExitEarlier) {
        EXPECT_FALSE(machine_.by_hand().empty()) << "what was saved is found again";
        options.without_earlier = true;
      }
      options.release_lost = run.exit_code == kExitIncomplete;
      killed_ = false;
    }
    EXPECT_TRUE(machine_.all_back());
    expect_nothing_lost();
    // Killed after the last release: the dump is whole, and its journal says so for ever.
    if (!killed_) expect_nothing_left();
  }

  const std::string& story() const { return story_; }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  std::string targets() const { return dir_ / "targets"; }
  std::string state() const { return dir_ / "state"; }
  std::string any_target() { return std::string(1, static_cast<char>('a' + below(3))); }
  void note(const std::string& what) { story_ += what + "\n"; }

  FrameRange any_frames(std::uint64_t most) {
    const std::uint64_t first = below(ram_blocks_ * FakeMachine::kBlockFrames);
    return {Gfn{first},
            Gfn{std::min(ram_blocks_ * FakeMachine::kBlockFrames, first + 1 + below(most))}};
  }

  void lay_out() {
    const std::uint64_t above = window_blocks_ * FakeMachine::kBlockFrames;
    for (std::uint64_t holes = below(5); holes > 0; --holes)
      if (const FrameRange hole = any_frames(300); hole.begin.value >= above)
        machine_.make_hole(hole);
    if (below(4) == 0)
      if (const FrameRange bad = any_frames(3); bad.begin.value >= above) {
        for (Gfn gfn = bad.begin; gfn < bad.end; ++gfn.value) machine_.make_unreadable(gfn);
        unreadable_.insert(bad);
      }
  }

  SaveOptions options_to(const std::string& name) {
    SaveOptions options = save_options(targets() + "/" + name, format_);
    options.portion_bytes = (1 + below(3)) << 20;
    options.threads = 1 + static_cast<unsigned>(below(2));
    return options;
  }

  std::uint64_t any_room() { return below(3) == 0 ? (below(64) + 1) * 64_KiB : kNoLimit; }

  pid_t start(const SaveOptions& options, std::uint64_t room) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const SaveRun run = save_here(machine_, options, room, state());
    std::ofstream(dir_ / std::to_string(::getpid())) << run.messages;
    ::_exit(run.exit_code);
  }

  void wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    note("  " + std::to_string(WEXITSTATUS(status)));
    if (WEXITSTATUS(status) == FakeMachine::kKilled) killed_ = true;
    std::ifstream messages(dir_ / std::to_string(child));
    note(std::string(std::istreambuf_iterator<char>(messages), {}));
    EXPECT_THAT(WEXITSTATUS(status),
                AnyOf(FakeMachine::kKilled, kExitOk, kExitNothing, kExitTargetFull, kExitIncomplete,
                      kExitHeld, kExitEarlier, kExitLocked));
  }

  // One saver or two, which may be killed.
  void savers(std::uint64_t count) {
    const std::uint64_t kill = below(3) == 0 ? 0 : 1 + below(70);
    machine_.kill_after(kill);
    std::vector<pid_t> children;
    for (; count > 0; --count) {
      const SaveOptions options = options_to(any_target());
      const std::uint64_t room = any_room();
      note("save " + options.to.front() + ", room " + std::to_string(room) + ", kill " +
           std::to_string(kill));
      children.push_back(start(options, room));
    }
    killed_ = false;
    for (const pid_t child : children) wait_for(child);
    machine_.kill_after(0);
  }

  // At one of its steps an admin releases something.
  void saver_and_hand() {
    const FrameRange range = any_frames(300);
    const auto at = static_cast<int>(1 + below(60));
    note("by hand " + std::to_string(range.begin.value) + " to " + std::to_string(range.end.value) +
         " at step " + std::to_string(at));
    touched_.insert(range);
    std::atomic<int> steps = 0;
    machine_.on_step([&] {
      if (++steps == at) machine_.release_by_hand(range);
    });
    savers(1);
    machine_.on_step({});
  }

  void something_happens() {
    switch (below(10)) {
      case 0:
      case 1:
        note("crash");
        return machine_.reboot();
      case 2:
        return savers(2);
      case 3:
        return saver_and_hand();
      case 4: {
        const ErrorCode code = below(2) == 0 ? ErrorCode::kOs : ErrorCode::kUnsupported;
        const auto count = static_cast<unsigned>(1 + below(20));
        note("refuses " + std::to_string(count));
        return machine_.refuse_releases(code, count);
      }
      default:
        return savers(1);
    }
  }

  /// Frames that are, as they were, in a complete or a partial dump, or that a dump says to have
  /// lost to a hand.
  FrameSet saved() {
    FrameSet frames;
    for (const auto& entry : fs::directory_iterator(targets())) {
      const std::string name = entry.path().filename();
      if (name.find(".hadump-journal") != std::string::npos) {
        const auto journal = read_journal(*HeldFile::at(entry.path()));
        if (!journal || journal->durable.empty() || !fs::exists(journal->files.front())) continue;
        FrameSet sure = journal->durable;
        sure.erase(journal->lost);
        const DumpClaims claims = claims_of(journal->files.front(), machine_, sure, format_);
        EXPECT_EQ(claims.good, sure) << name;
        frames.insert(claims.good);
      } else if (name.find("-incomplete") == std::string::npos) {
        const DumpClaims claims = claims_of(entry.path(), machine_, all_, format_);
        EXPECT_TRUE(claims.wrong.empty()) << claims.wrong.frames() << " frames are wrong: " << name;
        EXPECT_EQ(claims.complete, claims.lost.empty()) << name;
        whole_ = whole_ && claims.complete;
        frames.insert(claims.good);
        // Also what nobody has in the end, because the guest crashed again.
        frames.insert(claims.lost.intersection(touched_));
      }
    }
    return frames;
  }

  void expect_nothing_lost() {
    FrameSet found = saved();
    found.insert(machine_.held_frames());
    if (!machine_.all_back()) found.insert(window_);
    found.insert(machine_.by_hand());
    found.insert(unreadable_.intersection(all_));
    FrameSet lost = all_;
    lost.erase(found);
    EXPECT_TRUE(lost.empty()) << lost.frames() << " frames are lost, the first of them "
                              << lost.ranges().front().begin.value;
    EXPECT_EQ(machine_.violation(), "");
  }

  // Of what others have begun, the last save says that it is no longer needed, if its dump is
  // whole.
  void expect_nothing_left() const {
    if (fs::exists(state())) {
      EXPECT_TRUE(fs::is_empty(state()));
    }
    for (const auto& entry : fs::directory_iterator(targets())) {
      const std::string name = entry.path().filename();
      const std::size_t begin = name.front() == '.' ? 1 : 0;
      const std::size_t end = name.find_first_of("-.", 1);
      if (end == std::string::npos) continue;  // a dump
      const std::string dump = targets() + "/" + name.substr(begin, end - begin);
      const bool told = story_.find("no longer needed: " + dump) != std::string::npos;
      EXPECT_TRUE(told || !whole_) << name << " is left over";
    }
  }

  std::mt19937_64 random_;
  const OutputFormat* format_;
  std::uint64_t window_blocks_;
  std::uint64_t ram_blocks_;
  FakeMachine machine_;
  TemporaryDirectory dir_;
  FrameSet all_;
  FrameSet window_;
  FrameSet unreadable_;
  FrameSet touched_;     ///< What an admin wanted to release.
  bool killed_ = false;  ///< One of those that saved last.
  bool whole_ = true;    ///< No dump says that it is incomplete.
  std::string story_;
};

TEST(SaveCampaign, NothingIsLostWhateverHappens) {
  const auto [begin, end] = seeds(30);
  for (std::uint64_t seed = begin; seed < end; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SaveLife life(seed);
    life.live();
    life.end();
    ASSERT_FALSE(testing::Test::HasFailure()) << life.story();
  }
}

}  // namespace
}  // namespace hadump
