// SPDX-License-Identifier: GPL-2.0-or-later
// Random lives of a guest that crashes: its agent is killed at any call or any step, calls fail,
// agents come back with what was written down, the guest crashes again, is booted in a larger
// window, releases blocks, ends its dump. tests/campaign/fake runs many of them.
#include <gmock/gmock.h>

#include <cstddef>
#include <random>
#include <thread>

#include "tests/campaign/seeds.h"
#include "tests/unit/hv/rescue/crash_run_fixture.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMarkEvery = 64;  // frames: CrashRunTest
constexpr std::uint64_t kBlockFrames = HADUMP_BLOCK_SIZE >> kFrameShift;
constexpr int kTroubles = 6;  // attempts that may be disturbed, before those that are not
constexpr int kAttempts = kTroubles + 3;

/// One guest and its agents.
class RescueLife : public CrashRunTest {
 public:
  explicit RescueLife(std::uint64_t seed) : random_(seed) {
    const CallHook hook = [this](const std::string& what) { return called(what); };
    guest.on_call(hook);
    domain.on_call(hook);
    links.on_call(hook);
    records.on_call(hook);
    store.hook = hook;
    the_guest_works();
    if (below(3) == 0) balloon_out();
    if (below(4) == 0) register_save_area();
    if (below(4) == 0) hold_some_grants();
    hopeless_ = below(8) == 0;
  }

  void live() {
    for (std::uint64_t dumps = 1 + below(2); dumps > 0; --dumps) {
      for (std::uint64_t crashes = 1 + below(3); crashes > 0; --crashes) {
        if (!rescue()) return expect_left_as_found();
        expect_dump_has_it_all();
        expect_rescue_as_recorded();
        if (testing::Test::HasFailure()) return;
        the_guest_boots();
        if (crashes > 1) domain.crash_again();
      }
      end_dump();
      // It may crash before the agent has seen that.
      if (dumps == 1 || below(3) != 0) finish();
      if (testing::Test::HasFailure() || dumps == 1) return;
      the_guest_works();
      domain.crash_again();
    }
  }

  const std::string& story() const { return story_; }

 private:
  void TestBody() override {}
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  void note(const std::string& what) { story_ += what + "\n"; }

  // Before each call of a fake.
  Result<> called(const std::string& what) {
    // Worker threads call when they please: a seed means the same every time only without them.
    if (std::this_thread::get_id() != agent_) return {};
    ++calls_;
    if (calls_ == kill_at_) {
      note("  killed before call " + std::to_string(calls_) + ", " + what);
      throw Killed{};
    }
    if (calls_ != fail_at_) return {};
    note("  call " + std::to_string(calls_) + " fails: " + what);
    return fail_os(EIO, what);
  }

  void disturb() {
    calls_ = 0;
    // Early calls are few and different, later ones many and the same.
    const std::uint64_t reach = below(2) == 0 ? 40 : 400;
    kill_at_ = below(2) == 0 ? 1 + below(reach) : 0;
    fail_at_ = below(2) == 0 ? 1 + below(reach) : 0;
  }
  void leave_alone() { kill_at_ = fail_at_ = calls_ = 0; }

  /// A new content in all that it has.
  void the_guest_works() {
    old_.clear();
    for (std::uint64_t gfn = 0; gfn < kRam >> kFrameShift; gfn += kMarkEvery) {
      if (!guest.exists(Gfn{gfn})) continue;
      guest.fill(Gfn{gfn}, mark(gfn));
      old_.push_back(Gfn{gfn});
    }
  }

  void balloon_out() {
    for (std::uint64_t holes = 1 + below(4); holes > 0; --holes) {
      const std::uint64_t first = 2 + below((512_MiB >> kFrameShift) - 600);
      const FrameRange hole{Gfn{first}, Gfn{first + 1 + below(500)}};
      EXPECT_TRUE(guest.remove(hole));
      std::erase_if(old_, [&](Gfn gfn) { return hole.contains(gfn); });
    }
    store.target_kib = target_before_ = *guest.total_frames() << 2;
    leaked_before_ = guest.leaked_frames();
  }

  void register_save_area() {
    store.keys = {{"version", "1"}, {"mode", "registered"}, {"save-area", "0x10000000 0x9000000"}};
    registered_ = frames_of_bytes(0x10000000, 0x9000000);
    std::erase_if(old_, [this](Gfn gfn) { return registered_.contains(gfn); });
  }

  void hold_some_grants() {
    FrameSet frames;
    for (std::uint64_t i = 1 + below(4); i > 0; --i)
      if (const Gfn gfn{kMarkEvery * (1 + below(old_.size()))}; guest.exists(gfn))
        frames.insert({gfn, Gfn{gfn.value + 1}});
    domain.hold_grants({{.domid = 9, .frames = frames, .writable = frames}});
    held_ = frames;
  }

  // The agent that is there now; a new one when it was killed.
  bool attempt() try {
    const auto done = run(record);
    note(done ? "  started" : "  failed: " + done.error().what());
    if (done || below(2) == 0) return done.has_value();
    start_agent();
    return false;
  } catch (const Killed&) {
    start_agent();
    return false;
  }

  // hadumpd begins with what was written down. A guest that runs has been started.
  void start_agent() {
    leave_alone();
    record = {};
    record.uuid = "u";
    if (!records.saved.empty()) {
      auto found = parse_record(to_json(records.saved.back()));
      ASSERT_TRUE(found) << found.error().what();
      record = *found;
    }
    if (is_running() && notice_start(record, *domain.status(), 1)) {
      ASSERT_TRUE(records.save(record));
    }
  }
  bool is_running() const {
    const auto status = domain.status();
    return !status->shutdown && !status->paused;
  }

  bool rescue() {
    note("crash");
    // Refused where it cannot be; then the guest is booted in the window that it has.
    const std::uint64_t larger = below(2) == 0 ? (2 + below(3)) * HADUMP_BLOCK_SIZE : 0;
    if (larger != 0) note("a window of " + std::to_string(larger >> 20) + " MiB is wanted");
    policy.rescue_boot = below(3) == 0;
    for (int i = 0; i < kAttempts; ++i) {
      policy.larger_window_bytes = i < kTroubles - 1 ? larger : 0;
      i < kTroubles&& below(4) != 0 ? disturb() : leave_alone();
      const bool over = hopeless_ && i + 1 >= kTroubles;
      if (over) files.kernel_bytes.assign(1000, std::byte{0});
      const bool started = attempt();
      leave_alone();
      if (started || (record.step == Step::kStarted && is_running())) return true;
    }
    EXPECT_TRUE(hopeless_) << "nothing disturbs it any more";
    return false;
  }

  /// What is mapped as RAM belongs to the new kernel, which uses it. It may release what it has
  /// saved.
  void the_guest_boots() {
    const auto saved = read_snapshot(guest, record.save_area, /*check_low=*/false);
    ASSERT_TRUE(saved) << saved.error().what();
    for (const MapEntry& entry : domain.map()) {
      if (entry.type != MapType::kRam) continue;
      const FrameRange ram = frames_of_bytes(entry.address, entry.bytes);
      for (std::uint64_t gfn = round_up(ram.begin.value, kMarkEvery); gfn < ram.end.value;
           gfn += kMarkEvery)
        if (guest.exists(Gfn{gfn})) guest.fill(Gfn{gfn}, std::byte{0xff});
    }
    for (std::uint64_t block = 1; block < saved->blocks.size(); ++block) {
      const FrameRange frames{Gfn{block * kBlockFrames}, Gfn{(block + 1) * kBlockFrames}};
      if (below(3) != 0 || !saved->node.held.contains(frames)) continue;
      note("block " + std::to_string(block) + " is released");
      const std::uint8_t released = HADUMP_BLOCK_RELEASED;
      ASSERT_TRUE(write_guest(guest, GuestPhys{saved->node.block_table.address.value + block},
                              std::as_bytes(std::span(&released, 1))));
      std::erase_if(old_, [&](Gfn gfn) { return frames.contains(gfn); });
      for (std::uint64_t gfn = frames.begin.value; gfn < frames.end.value; gfn += kMarkEvery)
        if (guest.exists(Gfn{gfn})) guest.fill(Gfn{gfn}, std::byte{0xff});
    }
  }

  /// Every frame of the crashed kernel is where the dump says that it is.
  void expect_dump_has_it_all() {
    const auto saved = read_snapshot(guest, record.save_area, /*check_low=*/true);
    ASSERT_TRUE(saved) << saved.error().what();
    EXPECT_EQ(guest.mappings(), 0);
    EXPECT_EQ(guest.leaked_frames(), leaked_before_) << "given away with what was in them";
    // An agent that was killed has withdrawn the grants, but perhaps not replaced the pages.
    for (FrameRange range : held_.ranges())
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
        EXPECT_GE(guest.moved(gfn), 1U)
            << "booted with a page that another domain maps: " << gfn.value;
    std::uint64_t wrong = 0;
    for (const Gfn gfn : old_)
      if (content_in(*saved, gfn) != std::to_integer<int>(mark(gfn.value))) ++wrong;
    EXPECT_EQ(wrong, 0U) << "of " << old_.size() << " frames";
  }

  /// Whoever has booted it at last; the dump's first boot is never a rescue.
  void expect_rescue_as_recorded() {
    const std::uint32_t since = record.window.rescue_since;
    EXPECT_EQ(cmdline().find(" hadump.rescue=1") != std::string::npos, since != 0) << cmdline();
    EXPECT_TRUE(since == 0 || (since > 1 && since <= record.boots)) << since;
    if (policy.rescue_boot && record.boots > 1) {
      EXPECT_NE(since, 0U);
    }
  }

  // As /proc/vmcore finds it; -1 when the dump has none.
  int content_in(const SavedSnapshot& saved, Gfn gfn) const {
    const std::uint64_t address = address_of(gfn).value;
    Elf64_Ehdr header;
    std::memcpy(&header, saved.elf_header.data(), sizeof(header));
    for (unsigned i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr segment;
      std::memcpy(&segment, saved.elf_header.data() + header.e_phoff + i * sizeof(segment),
                  sizeof(segment));
      if (segment.p_type != PT_LOAD || address < segment.p_paddr ||
          address - segment.p_paddr >= segment.p_filesz)
        continue;
      const GuestPhys where{segment.p_offset + address - segment.p_paddr};
      return std::to_integer<int>(guest.content(frame_of(where))[0]);
    }
    return -1;
  }

  /// Nobody could boot it: all of its memory is in its place, or in a dump that can be booted when
  /// the kernel is there again.
  void expect_left_as_found() {
    if (record.has_snapshot()) {
      files.kernel_bytes = sample_kernel();
      EXPECT_TRUE(attempt());
      return expect_dump_has_it_all();
    }
    std::uint64_t wrong = 0;
    for (const Gfn gfn : old_)
      if (guest.content(gfn)[0] != mark(gfn.value)) ++wrong;
    EXPECT_EQ(wrong, 0U) << "of " << old_.size() << " frames";
    expect_nothing_left();
  }

  // The mark in the snapshot goes first, then the guest says so.
  void end_dump() {
    const std::uint64_t over = 0;
    ASSERT_TRUE(write_guest(guest,
                            GuestPhys{address_of(record.save_area.begin).value +
                                      offsetof(hadump_save_header, complete)},
                            std::as_bytes(std::span(&over, 1))));
    note("the dump is over");
  }

  void finish() {
    domain.hold_grants({});
    for (int i = 0; record.step != Step::kDone; ++i) {
      ASSERT_LT(i, kAttempts) << "nothing disturbs it any more";
      i < kTroubles ? disturb() : leave_alone();
      try {
        const auto done = finish_dump(domain, guest, store, records, record, 5);
        note(done ? "finished" : "not finished: " + done.error().what());
      } catch (const Killed&) {
        start_agent();
      }
    }
    leave_alone();
    expect_nothing_left();
  }

  void expect_nothing_left() {
    EXPECT_EQ(guest.mappings(), 0);
    EXPECT_EQ(guest.limit_kib(), limit_before);
    EXPECT_EQ(store.target_kib, target_before_);
    EXPECT_EQ(guest.leaked_frames(), leaked_before_) << "given away with what was in them";
    for (Gfn gfn{4_GiB >> kFrameShift}; gfn.value < 6_GiB >> kFrameShift; ++gfn.value)
      ASSERT_FALSE(guest.exists(gfn)) << "a save area is still there";
  }

  std::mt19937_64 random_;
  std::thread::id agent_ = std::this_thread::get_id();
  std::uint64_t calls_ = 0;
  std::uint64_t kill_at_ = 0;
  std::uint64_t fail_at_ = 0;
  std::vector<Gfn> old_;  ///< Frames whose old content must be kept.
  FrameRange registered_;
  FrameSet held_;  ///< mapped by another domain
  std::uint64_t leaked_before_ = 0;
  std::uint64_t target_before_ = store.target_kib;
  bool hopeless_ = false;  ///< After some attempts its kernel is gone.
  std::string story_;
};

TEST(RescueCampaign, NothingIsLostWhateverHappens) {
  const auto [begin, end] = seeds(4);
  for (std::uint64_t seed = begin; seed < end; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RescueLife life(seed);
    life.live();
    ASSERT_FALSE(testing::Test::HasFailure()) << life.story();
  }
}

}  // namespace
}  // namespace hadump
