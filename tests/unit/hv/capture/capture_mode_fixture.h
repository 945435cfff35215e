// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>
#include <gmock/gmock.h>
#include <linux/magic.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/vmcore/open.h"
#include "hv/capture/capture_modes.h"
#include "hv/domain/pvh_guest.h"
#include "tests/fakes/in_memory_host.h"
#include "tests/fakes/linux_machine.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {

inline constexpr std::uint64_t kFrames = LinuxMachine::kFramesPerSection;
inline constexpr std::uint64_t kNoteFrame = kFrames - 10;
inline constexpr std::uint64_t kFreeFrame = 20000;  // one that the guest's struct pages call free
inline constexpr std::uint64_t kDataFrame = 10000;
inline constexpr unsigned kFreeLevel = 16;

inline bool is_zero(const std::vector<std::byte>& page) {
  static const std::vector<std::byte> zeros(kFrameSize);
  return std::memcmp(page.data(), zeros.data(), kFrameSize) == 0;
}

/// A place where files last, wherever the test's are.
class LastingFiles : public FileSystems {
 public:
  Result<std::uint64_t> type(const std::string&) const override { return std::uint64_t{0xef53}; }
  Result<std::string> mounts() const override { return "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"; }
};

/// One where they are gone after the next boot.
class FilesInMemory : public LastingFiles {
 public:
  Result<std::uint64_t> type(const std::string&) const override { return TMPFS_MAGIC; }
};

/// A PVH guest of 128 MiB that has died of a panic: a whole Linux, as far as a dump looks at it.
class CapturedGuest {
 public:
  using Json = nlohmann::ordered_json;

  CapturedGuest() {
    DomainConfig config;
    config.name = "web/1";
    config.uuid = "uuid-of-web";
    config.kind = &kPvhGuest;
    config.memory_bytes = kFrames << kFrameShift;
    config.max_vcpus = 2;
    domid_ = host_.add(config);
    config_ = host_.config(domid_).value();
    EXPECT_TRUE(host_.crash(domid_));
    fill();
    record_.name = "web-now";
    record_.domain = config_.name;
    record_.uuid = config_.uuid;
    record_.domid = domid_;
    record_.dump_id = std::string(32, 'a');
    record_.begun_ms = 1700000000000;
    record_.order.to = directory_ / "dump";
    record_.order.dump_level = "0";
  }

  InMemoryGuest& memory() { return host_.at(domid_).memory; }

  void fill() {
    linux_.set_free_block(kFreeFrame, 3);
    linux_.add_log(1000, "all is well").add_log(2000, "Kernel panic - not syncing: a test");
    linux_.finish();
    memory().add({Gfn{0}, Gfn{kFrames}});
    std::vector<std::byte> page(kFrameSize);
    for (FrameRange range : linux_.dump.layout().frames.ranges())
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
        FrameStatus status{};
        EXPECT_TRUE(linux_.dump.read(gfn, page, {&status, 1}));
        if (!is_zero(page)) {
          EXPECT_TRUE(write_guest(memory(), address_of(gfn), page));
        }
      }
    memory().fill(Gfn{kDataFrame}, std::byte{0x77}).fill(Gfn{kFreeFrame}, std::byte{0x55});
    put_note();
  }
  void put_note() {
    std::string text = "OSRELEASE=6.1.0-test\n";
    for (const auto& [key, value] : linux_.info)
      if (key != "OSRELEASE") text += key + "=" + value + "\n";
    Elf64_Nhdr header{11, static_cast<Elf64_Word>(text.size()), 0};
    std::string note(reinterpret_cast<const char*>(&header), sizeof(header));
    note += std::string("VMCOREINFO\0\0", 12) + text;
    EXPECT_TRUE(write_guest(memory(), address_of(Gfn{kNoteFrame}), std::as_bytes(std::span(note))));
  }

  /// One run of hadumpd's. @return nothing when it was killed.
  std::optional<Result<>> run(CaptureRecord& record) {
    if (!open_) open_ = host_.open(domid_).value();
    const CaptureWorld world{
        .domain = *open_,
        .config = config_,
        .host_name = "dom0",
        .state_directory = directory_ / "state",
        .note = [this](const CaptureRecord& noted) -> Result<> {
          noted_.push_back(noted);
          if (!fail_after_leaving_.empty() && noted.state == CaptureState::kLeaving)
            host_.fail_next(std::exchange(fail_after_leaving_, ""),
                            Error(ErrorCode::kOs, "libxl error -3"));
          if (kill_at_note_ != 0 && noted_.size() == kill_at_note_) {
            on_kill_();
            throw Killed{};
          }
          return {};
        },
        .progress =
            [this](const SaveProgress& now) {
              progress_.push_back(now);
              meanwhile_();
            },
        .info = [this](const std::string& text) { infos_.push_back(text); },
        .warn = [this](const std::string& text) { warnings_.push_back(text); },
        .cancelled =
            [this] {
              return cancel_after_ && progress_.size() > 0 &&
                     progress_.back().dump.frames_done >= *cancel_after_;
            },
        .wall_ms = [] { return std::uint64_t{1700000009000}; },
        .file_systems = in_memory_ ? &files_in_memory_ : &lasting_,
        .host = host_,
        .min_successor_bytes = 32_MiB,
        .given_back = [this](std::uint64_t) { meanwhile_(); },
        .waiting_memory = [this]() -> Result<WaitingMemory> { return waiting_memory(); },
        .own_successor = [this](unsigned domid) -> Result<> {
          owned_.push_back(domid);
          return {};
        },
        .monotonic = [this] { return clock_ += std::chrono::microseconds(1); },
        .tracked = [this](const LiveProgress& now) { tracked_.push_back(now); },
        .passed = [this](std::string_view step) { passed_(step); },
        .free_bytes = [this](const HeldFile&) { return Result<std::uint64_t>(free_bytes_); }};
    try {
      return find_capture_mode(record.order.mode)->run(world, record);
    } catch (const Killed&) {
      return {};
    }
  }
  Result<> run() { return run(record_).value(); }

  /// As hv/rescue finds it: the domain was booted again, and its first pages were copied before.
  WaitingMemory waiting_memory() {
    const FrameSet ram{FrameRange{Gfn{0}, Gfn{kFrames}}};
    WaitingMemory waiting;
    auto facts = look_at_domain(open_->domain(), memory(), ram, {}, {});
    EXPECT_TRUE(facts);
    waiting.facts = std::move(*facts);
    waiting.facts.moved = {moved_};
    waiting.facts.survey.ram.erase(released_);
    waiting.facts.survey.absent.insert(released_);
    waiting.lacks = {{"released memory", "it was saved before"}};
    return waiting;
  }

  Json metadata() {
    return Json::parse(read_text_file(record_.order.to + "-metadata.json", 1_MiB).value());
  }
  /// What is there, besides what hadumpd has in its own directory.
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / ""))
      if (entry.path().filename() != "state") names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  void expect_dump_equals_memory(const std::string& path) {
    const auto dump = open_vmcore(path);
    ASSERT_TRUE(dump) << dump.error().what();
    EXPECT_FALSE((*dump)->layout().incomplete);
    EXPECT_EQ(cpu_notes((*dump)->layout()).size(), 2U);
    EXPECT_THAT(std::string(vmcoreinfo_text((*dump)->layout())),
                testing::HasSubstr("OSRELEASE=6.1.0-test"));
    std::vector<std::byte> page(kFrameSize);
    for (std::uint64_t gfn = 0; gfn < kFrames; ++gfn) {
      FrameStatus status{};
      ASSERT_TRUE((*dump)->read(Gfn{gfn}, page, {&status, 1}));
      ASSERT_EQ(status, FrameStatus::kRead) << gfn;
      ASSERT_EQ(std::memcmp(page.data(), memory().content(Gfn{gfn}).data(), kFrameSize), 0) << gfn;
    }
  }

  TemporaryDirectory directory_;
  LinuxMachine linux_{{.sections = 1}};
  InMemoryHost host_;
  unsigned domid_ = 0;
  DomainConfig config_;
  CaptureRecord record_;
  std::vector<CaptureRecord> noted_;
  std::vector<SaveProgress> progress_;
  std::vector<std::string> warnings_;
  std::vector<std::string> infos_;
  LastingFiles lasting_;
  FilesInMemory files_in_memory_;
  bool in_memory_ = false;            ///< the target's directory
  std::unique_ptr<OpenDomain> open_;  ///< of the first run, as a domain can be opened that is gone
  MovedFrames moved_{{Gfn{4}, Gfn{kDataFrame + 100}}, Gfn{2 * kFrames}};
  FrameSet released_;
  std::vector<unsigned> owned_;     ///< what the successor was said to be
  std::string fail_after_leaving_;  ///< a call of the host's
  std::size_t kill_at_note_ = 0;
  std::function<void()> on_kill_ = [] {};
  std::optional<std::uint64_t> cancel_after_;  ///< frames that are written
  std::function<void()> meanwhile_ = [] {};    ///< called while the dump is written
  std::chrono::microseconds clock_{};          ///< goes on by one with each look at it
  std::vector<LiveProgress> tracked_;
  std::function<void(std::string_view)> passed_ = [](std::string_view) {};
  std::uint64_t free_bytes_ = 1_GiB;  ///< at the target
};

}  // namespace hadump
