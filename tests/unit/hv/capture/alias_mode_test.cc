// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/alias_mode.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <map>

#include "hv/capture/capture_facts.h"
#include "hv/domain/hvm_guest.h"
#include "hv/domain/pv_guest.h"
#include "tests/unit/hv/capture/capture_mode_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct AliasCase : public CapturedGuest {
  AliasCase() {
    record_.order.mode = "alias";
    for (std::uint64_t gfn = 0; gfn < kFrames; ++gfn) {
      auto page = memory().content(Gfn{gfn});
      if (!is_zero(page)) truth_.emplace(gfn, std::move(page));
    }
  }

  std::vector<unsigned> successors() { return host_.with_uuid(config_.uuid); }
  bool old_is_there() { return !host_.with_uuid(record_.aside_uuid).empty(); }

  void expect_dump_equals_truth() {
    const auto dump = open_vmcore(record_.order.to);
    ASSERT_TRUE(dump) << dump.error().what();
    EXPECT_FALSE((*dump)->layout().incomplete);
    EXPECT_EQ(cpu_notes((*dump)->layout()).size(), 2U);
    std::vector<std::byte> page(kFrameSize);
    for (std::uint64_t gfn = 0; gfn < kFrames; ++gfn) {
      FrameStatus status{};
      ASSERT_TRUE((*dump)->read(Gfn{gfn}, page, {&status, 1}));
      const auto found = truth_.find(gfn);
      ASSERT_TRUE(found == truth_.end()
                      ? is_zero(page)
                      : std::memcmp(page.data(), found->second.data(), kFrameSize) == 0)
          << gfn;
    }
  }
  void expect_ended_well() {
    EXPECT_EQ(record_.state, CaptureState::kWritten);
    EXPECT_FALSE(record_.domain_kept);
    EXPECT_FALSE(old_is_there());
    ASSERT_THAT(successors(), SizeIs(1));
    EXPECT_FALSE(load_facts(directory_ / "state", record_.name)) << "nothing is left over";
    EXPECT_THAT(files(), ElementsAre("dump", "dump-dmesg.txt", "dump-metadata.json"));
    expect_dump_equals_truth();
  }

  /// The host has less than two of them need.
  void begin_with_half() { host_.set_room((kFrames << kFrameShift) / 2); }
  std::vector<std::uint64_t> sizes() const {
    std::vector<std::uint64_t> sizes;
    for (const CaptureRecord& record : noted_)
      if (record.successor_kib != 0) sizes.push_back(record.successor_kib);
    return sizes;
  }
  /// What the next hadumpd reads.
  void go_on_from_last_note() {
    kill_at_note_ = 0;
    record_ = noted_.back();
  }

  std::map<std::uint64_t, std::vector<std::byte>> truth_;  ///< what is not zeros
};

class AliasModeTest : public testing::Test, public AliasCase {};

TEST_F(AliasModeTest, WritesEveryPageAndGivesAllMemoryBack) {
  const auto guest = host_.share(domid_);
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(warnings_, IsEmpty());
  expect_ended_well();
  EXPECT_EQ(guest->memory.total_frames().value(), 0U) << "before it was destroyed";
  EXPECT_EQ(guest->memory.leaked_frames(), 0U);
  EXPECT_EQ(guest->memory.mappings(), 0);
  EXPECT_EQ(record_.given_back_bytes, kFrames << kFrameShift);
  EXPECT_THAT(guest->history, ElementsAre("disconnect"));
  EXPECT_EQ(owned_, (std::vector<unsigned>{0, successors().front()}));
  EXPECT_EQ(metadata()["trailer"]["complete"], true);
  EXPECT_EQ(metadata()["header"]["mode"], "alias");
}

/// The guest was booted again: its low memory is in a copy, and another kernel's where it was.
struct WaitingCase : public AliasCase {
  WaitingCase() {
    record_.waiting_dump = record_.dump_id;
    memory().add({moved_.to, Gfn{moved_.to.value + moved_.from.frames()}});
    const std::vector<std::byte> rubbish(kFrameSize, std::byte{0xdd});
    for (Gfn gfn = moved_.from.begin; gfn < moved_.from.end; ++gfn.value) {
      const Gfn to{moved_.to.value + gfn.value - moved_.from.begin.value};
      const auto page = memory().content(gfn);
      if (!is_zero(page)) {
        EXPECT_TRUE(write_guest(memory(), address_of(to), page));
      }
      if (gfn.value % 64 == 0) {
        EXPECT_TRUE(write_guest(memory(), address_of(gfn), rubbish));
      }
    }
  }
};

class AliasOfAWaitingDump : public testing::Test, public WaitingCase {};

TEST_F(AliasOfAWaitingDump, IsTheFirstKernelsMemory) {
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  expect_ended_well();
  EXPECT_THAT(record_.panic, HasSubstr("a test"));
  EXPECT_EQ(metadata()["header"]["unknown"][0]["what"], "released memory");
}

TEST_F(AliasOfAWaitingDump, GoesOnAfterAKillAtEachStep) {
  for (std::size_t note = 1; note < 5; ++note) {
    WaitingCase killed;
    killed.kill_at_note_ = note;
    killed.cancel_after_ = 20000;
    if (killed.run(killed.record_)) killed.cancel_after_.reset();  // cut off in the middle
    killed.cancel_after_.reset();
    killed.go_on_from_last_note();
    const auto done = killed.run();
    ASSERT_TRUE(done) << note << ": " << done.error().what();
    killed.expect_ended_well();
  }
}

TEST_F(AliasOfAWaitingDump, IsKeptUntilItIsKnownWhereTo) {
  record_.parks = true;
  ASSERT_TRUE(run());
  EXPECT_EQ(record_.state, CaptureState::kKept);
  EXPECT_TRUE(old_is_there());
  EXPECT_THAT(successors(), SizeIs(1));
  EXPECT_THAT(files(), IsEmpty()) << "nobody has asked for a file";

  record_.state = CaptureState::kWriting;                  // an admin has
  const DomainConfig config = std::exchange(config_, {});  // another hadumpd's
  const auto done = run();
  config_ = config;
  ASSERT_TRUE(done) << done.error().what();
  expect_ended_well();
  EXPECT_EQ(metadata()["header"]["domain"]["type"], "pvh");
  ASSERT_EQ(metadata()["header"]["unknown"].size(), 2U) << "each once";
  EXPECT_EQ(metadata()["header"]["unknown"][0]["what"], "released memory");
  EXPECT_EQ(metadata()["header"]["domain"]["memory_bytes"], kFrames << kFrameShift);
}

// The guest has those in a dump of its own; the memory behind them is its next kernel's.
TEST_F(AliasOfAWaitingDump, WhatWasReleasedIsNotInIt) {
  released_ = {FrameRange{Gfn{kFreeFrame}, Gfn{kFreeFrame + 8}}};
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  const auto dump = open_vmcore(record_.order.to);
  ASSERT_TRUE(dump);
  EXPECT_FALSE((*dump)->layout().frames.overlaps({Gfn{kFreeFrame}, Gfn{kFreeFrame + 8}}));
  EXPECT_FALSE(old_is_there()) << "it goes with the domain";
}

// Whatever is released is in the partial dump by then: the journal says so.
TEST_F(AliasModeTest, NothingIsGivenBackBeforeItIsDurable) {
  const auto guest = host_.share(domid_);
  unsigned releases = 0;
  guest->memory.on_call([&](const std::string& what) -> Result<> {
    if (what != "remove") return {};
    ++releases;
    EXPECT_TRUE(std::filesystem::exists(directory_ / ".dump.hadump-journal"));
    EXPECT_GT(std::filesystem::file_size(directory_ / ".dump.hadump-journal"), 0U);
    const auto partial = open_vmcore(directory_ / "dump-incomplete");
    EXPECT_TRUE(partial) << partial.error().what();
    return {};
  });
  ASSERT_TRUE(run());
  EXPECT_GT(releases, 2U);
}

// Its disks and its name are the successor's only when every backend has let go.
TEST_F(AliasModeTest, NothingIsCreatedWhileABackendHasNotLetGo) {
  host_.at(domid_).links.refuse_to_disconnect();
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("vbd/51712"));
  EXPECT_EQ(record_.state, CaptureState::kLeaving);
  EXPECT_EQ(host_.with_uuid(config_.uuid), std::vector{domid_});
  EXPECT_EQ(memory().total_frames().value(), kFrames);
}

TEST_F(AliasModeTest, NothingIsTouchedWhenTheHostHasNoRoom) {
  host_.set_room(16_MiB);
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(record_.state, CaptureState::kExamining);
  EXPECT_THAT(host_.at(domid_).history, IsEmpty());
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(AliasModeTest, NothingIsTouchedWhenTheTargetIsNoGood) {
  std::filesystem::create_directory(directory_ / "open");
  std::filesystem::permissions(directory_ / "open", std::filesystem::perms::all);
  record_.order.to = directory_ / "open/dump";
  const auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(record_.state, CaptureState::kExamining);
  EXPECT_THAT(host_.at(domid_).history, IsEmpty());
  EXPECT_EQ(host_.with_uuid(config_.uuid), std::vector{domid_});
}

TEST_F(AliasModeTest, TheSuccessorGrowsAsMemoryComesBack) {
  begin_with_half();
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  expect_ended_well();
  EXPECT_EQ(sizes().front(), (kFrames << 2) / 2);
  EXPECT_EQ(sizes().back(), kFrames << 2);
  EXPECT_EQ(host_.at(successors().front()).store.target_kib, kFrames << 2);
}

TEST_F(AliasModeTest, AnAdminsOwnSizeIsLeftAlone) {
  begin_with_half();
  host_.watch([this](const std::string& what) {
    if (what == "destroy") host_.at(successors().front()).store.target_kib = 5000;
  });
  ASSERT_TRUE(run());
  EXPECT_EQ(host_.at(successors().front()).store.target_kib, 5000U);
}

// Each note is where hadumpd can be killed and know it.
TEST_F(AliasModeTest, EndsAsItShouldWhereverItWasKilled) {
  for (std::size_t note = 1;; ++note) {
    AliasCase another;
    another.begin_with_half();
    another.kill_at_note_ = note;
    if (another.run(another.record_)) break;
    another.go_on_from_last_note();
    const auto done = another.run(another.record_).value();
    ASSERT_TRUE(done) << note << ": " << done.error().what();
    another.expect_ended_well();
    ASSERT_FALSE(HasFailure()) << "killed at note " << note;
    ASSERT_LT(note, 20U);
  }
}

// Each frame is cleared before it goes. What a killed run has cleared only is saved already.
TEST_F(AliasModeTest, WhatWasClearedIsNotReadAgain) {
  for (unsigned release : {1U, 2U, 5U}) {
    AliasCase another;
    unsigned seen = 0;
    another.memory().on_call([&](const std::string& what) -> Result<> {
      if (what == "remove" && ++seen == release) throw Killed{};
      return {};
    });
    ASSERT_FALSE(another.run(another.record_)) << "killed";
    another.memory().on_call(no_hook());
    another.go_on_from_last_note();
    const auto done = another.run(another.record_).value();
    ASSERT_TRUE(done) << release << ": " << done.error().what();
    another.expect_ended_well();
    ASSERT_FALSE(HasFailure()) << "killed at release " << release;
  }
}

// A call of the toolstack that fails, or is not answered before hadumpd is killed.
TEST_F(AliasModeTest, EndsAsItShouldWhicheverCallFails) {
  for (const char* call : {"room_for", "set_aside", "create", "destroy", "domains", "set_memory"})
    for (const bool after : {false, true}) {
      AliasCase another;
      another.begin_with_half();
      if (after)
        another.fail_after_leaving_ = call;
      else
        another.host_.fail_next(call, Error(ErrorCode::kOs, "libxl error -3"));
      const auto first = another.run(another.record_).value();
      if (!first) {
        if (!another.noted_.empty()) another.go_on_from_last_note();
        const auto done = another.run(another.record_).value();
        ASSERT_TRUE(done) << call << ": " << done.error().what();
      }
      another.expect_ended_well();
      ASSERT_FALSE(HasFailure()) << call << after;
    }
}

TEST_F(AliasModeTest, WhatCannotBeGivenBackGoesAtTheEnd) {
  memory().fail_next("remove");
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  expect_ended_well();
}

TEST_F(AliasModeTest, AnotherDomainOfTheNumberKeepsItsMemory) {
  kill_at_note_ = 4;
  ASSERT_FALSE(run(record_));
  go_on_from_last_note();
  ASSERT_EQ(record_.state, CaptureState::kWriting);
  host_.at(domid_).domain.set_uuid("uuid-of-somebody");
  const auto done = run(record_).value();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(memory().total_frames().value(), kFrames);
  EXPECT_EQ(memory().content(Gfn{kDataFrame})[0], std::byte{0x77});
}

TEST_F(AliasModeTest, DamagedFactsKeepTheDomain) {
  kill_at_note_ = 4;
  ASSERT_FALSE(run(record_));
  go_on_from_last_note();
  ASSERT_TRUE(record_.is_aside());
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "state"))
    if (entry.path().extension() == ".facts") std::filesystem::resize_file(entry.path(), 100);
  const auto done = run(record_).value();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBadData);
  EXPECT_TRUE(old_is_there());
}

TEST_F(AliasModeTest, AutoChoosesByRoomAndByWhatIsWanted) {
  record_.order.mode = "auto";
  record_.order.restart = true;
  host_.set_room(16_MiB);
  ASSERT_TRUE(run());
  EXPECT_EQ(record_.order.mode, "copy");
  EXPECT_EQ(host_.with_uuid(config_.uuid), std::vector{domid_});

  AliasCase another;
  another.record_.order.mode = "auto";
  another.record_.order.restart = true;
  ASSERT_TRUE(another.run());
  EXPECT_EQ(another.record_.order.mode, "alias");
  another.expect_ended_well();
}

// What is given back would not be free.
class WithoutAliasTest : public AliasModeTest,
                         public testing::WithParamInterface<const GuestKind*> {};

TEST_P(WithoutAliasTest, IsCopied) {
  config_.kind = GetParam();
  const auto refused = run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(record_.state, CaptureState::kExamining);
  EXPECT_THAT(host_.at(domid_).history, IsEmpty());
  record_.order.mode = "auto";
  record_.order.restart = true;
  const auto done = run();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(record_.order.mode, "copy");
  expect_dump_equals_memory(record_.order.to);
}

INSTANTIATE_TEST_SUITE_P(Kinds, WithoutAliasTest, testing::Values(&kHvmGuest, &kPvGuest),
                         [](const auto& kind) { return std::string(kind.param->name); });

}  // namespace
}  // namespace hadump
