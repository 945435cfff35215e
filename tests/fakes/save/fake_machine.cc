// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/save/fake_machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "core/base/format_range.h"

namespace hadump {

// A saver that is killed while it has the lock leaves nothing half done: every change is made after
// the last event.
class FakeMachine::Lock {
 public:
  explicit Lock(const FakeMachine& machine) : mutex_(&machine.shared_->mutex) {
    if (::pthread_mutex_lock(mutex_) == EOWNERDEAD) ::pthread_mutex_consistent(mutex_);
  }
  ~Lock() { ::pthread_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t* mutex_;
};

class FakeReleaser : public RegionReleaser {
 public:
  explicit FakeReleaser(FakeMachine& machine)
      : machine_(machine), who_(++machine.shared_->next_releaser) {}
  Result<RegionTable> regions() override {
    machine_.step();
    const FakeMachine::Lock lock(machine_);
    if (machine_.all_back()) return fail(ErrorCode::kNotFound, "no dump waits");
    return machine_.table();
  }
  Result<> release(FrameRange range) override {
    machine_.step();
    machine_.event();
    auto done = [&] {
      const FakeMachine::Lock lock(machine_);
      return machine_.release(range, who_);
    }();
    if (done) machine_.event();
    machine_.step();
    return done;
  }
  Result<UniqueFd> lock() override {
    if (machine_.all_back()) return fail(ErrorCode::kNotFound, "no dump waits");
    return machine_.lock();
  }
  Result<> report_progress(std::string_view) override {
    ++machine_.told_host_;
    return {};
  }

 private:
  FakeMachine& machine_;
  std::uint8_t who_;
};

class FakeVmcore : public VmcoreSource {
 public:
  explicit FakeVmcore(FakeMachine& machine) : machine_(machine) {
    const FakeMachine::Lock lock(machine);
    for (std::uint64_t i = 0; i < machine.frames_; ++i)
      if (machine.shared_->state[i] != FakeMachine::kHole && !machine.shared_->gone_at_boot[i])
        layout_.frames.insert({Gfn{i}, Gfn{i + 1}});
    for (FrameRange range : layout_.frames.ranges())
      layout_.segments.push_back({{0xffff888000000000 + address_of(range.begin).value},
                                  address_of(range.begin),
                                  range.bytes(),
                                  range.bytes(),
                                  address_of(range.begin).value});
  }

  const VmcoreLayout& layout() const override { return layout_; }

  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    machine_.step();
    for (std::size_t i = 0; i < status.size(); ++i) {
      const FakeMachine::Lock lock(machine_);
      const Gfn gfn{first.value + i};
      const auto row = out.subspan(i * kFrameSize, kFrameSize);
      std::memset(row.data(), 0, row.size());
      status[i] = !layout_.frames.contains(gfn)             ? FrameStatus::kAbsent
                  : machine_.shared_->unreadable[gfn.value] ? FrameStatus::kFailed
                                                            : FrameStatus::kRead;
      // A released frame reads as zeros, as the module's vmcore callback does it.
      if (status[i] == FrameStatus::kRead && machine_.is_readable(gfn)) machine_.truth(gfn, row);
    }
    machine_.step();
    return {};
  }

  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

 private:
  FakeMachine& machine_;
  VmcoreLayout layout_;
};

FakeMachine::FakeMachine(std::uint64_t seed, std::uint64_t window_blocks, std::uint64_t ram_blocks)
    : seed_(seed),
      frames_(ram_blocks * kBlockFrames),
      lock_file_(::memfd_create("release_region", MFD_CLOEXEC)) {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  shared_ = new (memory) Shared{};
  shared_->next_releaser = kHand;
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&shared_->mutex, &attributes);
  for (std::uint64_t i = 0; i < frames_; ++i)
    shared_->state[i] = i < window_blocks * kBlockFrames ? kWindow : kHeld;
}

Result<UniqueFd> FakeMachine::lock() const {
  if (!lock_file_) return fail_os(EACCES, "opening the machine's interface");
  const std::string path = "/proc/self/fd/" + std::to_string(lock_file_.get());
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return fail_os(errno, "opening the machine's interface");
  if (one_lock_ && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorCode::kBusy, "another process saves this dump");
  return fd;
}

FakeMachine::~FakeMachine() {
  ::munmap(shared_, sizeof(Shared));
}

void FakeMachine::make_hole(FrameRange range) {
  for (std::uint64_t i = range.begin.value; i < range.end.value; ++i) shared_->state[i] = kHole;
}

void FakeMachine::make_unreadable(Gfn gfn) {
  shared_->unreadable[gfn.value] = 1;
}

void FakeMachine::refuse_releases(ErrorCode code, unsigned count) {
  shared_->refusals_left = count;
  shared_->refuse_code = code;
}

void FakeMachine::kill_after(std::uint64_t events) {
  shared_->events = 0;
  shared_->kill_at = events;
}

void FakeMachine::event() {
  if (++shared_->events == shared_->kill_at) ::_exit(kKilled);
}

void FakeMachine::reboot() {
  for (std::uint64_t block = 0; block < frames_; block += kBlockFrames)
    for (std::uint64_t i = block; i < block + kBlockFrames; ++i) {
      if (shared_->state[i] == kAsked) shared_->state[i] = kHeld;  // Only whole blocks are noted.
      if (shared_->state[i] == kReleased) shared_->gone_at_boot[i] = 1;
    }
}

void FakeMachine::truth(Gfn gfn, std::span<std::byte> out) const {
  std::uint64_t x = (seed_ + gfn.value + 1) * 0x9e3779b97f4a7c15;
  if (x >> 62 == 0) {  // A quarter of the pages is zero.
    std::memset(out.data(), 0, out.size());
    return;
  }
  const bool compressible = (x >> 61 & 1) != 0;
  for (std::size_t i = 0; i < out.size(); i += sizeof(x)) {
    if (!compressible) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
    }
    std::memcpy(out.data() + i, &x, sizeof(x));
  }
}

FrameSet FakeMachine::old_frames() const {
  FrameSet frames;
  for (std::uint64_t i = 0; i < frames_; ++i)
    if (shared_->state[i] != kHole) frames.insert({Gfn{i}, Gfn{i + 1}});
  return frames;
}

FrameSet FakeMachine::held_frames() const {
  FrameSet frames;
  for (std::uint64_t i = 0; i < frames_; ++i)
    if (shared_->state[i] == kHeld || shared_->state[i] == kAsked)
      frames.insert({Gfn{i}, Gfn{i + 1}});
  return frames;
}

FrameRange FakeMachine::save_area() const {
  return {Gfn{frames_}, Gfn{frames_ + kBlockFrames}};
}

bool FakeMachine::is_readable(Gfn gfn) const {
  const std::uint8_t state = shared_->state[gfn.value];
  return state == kWindow ? !shared_->save_area_released : state == kHeld;
}

void FakeMachine::complain(const std::string& text) {
  if (shared_->violation[0] == 0)
    std::copy_n(text.begin(), std::min(text.size(), shared_->violation.size() - 1),
                shared_->violation.begin());
}

bool FakeMachine::is_ready_block(std::uint64_t frame) const {
  const auto begin =
      shared_->state.begin() + static_cast<std::ptrdiff_t>(frame / kBlockFrames * kBlockFrames);
  const auto end = begin + kBlockFrames;
  return std::none_of(begin, end, [](std::uint8_t s) { return s == kHeld || s == kWindow; }) &&
         std::find(begin, end, kAsked) != end;
}

Result<> FakeMachine::release_save_area(std::uint8_t who) {
  if (shared_->save_area_released) {
    if (shared_->save_area_released_by == who) complain("the save area was released twice");
    return fail(ErrorCode::kNotFound, "no dump waits");
  }
  if (!held_frames().empty() && who != kHand)
    complain("the save area was released before the last block");
  shared_->save_area_released = 1;
  shared_->save_area_released_by = who;
  return {};
}

Result<> FakeMachine::check_held(FrameRange range, std::uint8_t who) {
  for (std::uint64_t i = range.begin.value; i < range.end.value; ++i) {
    if (i < frames_ && (shared_->state[i] == kHeld || shared_->state[i] == kHole)) continue;
    if (i < frames_ && shared_->state[i] == kAsked && is_ready_block(i)) continue;
    // Nobody can know what somebody else releases in the same moment.
    const bool by_another =
        i < frames_ && shared_->released_by[i] != 0 && shared_->released_by[i] != who;
    if (!by_another && who != kHand) complain("released what is not held: " + format_range(range));
    return fail(ErrorCode::kBadData, "not held");
  }
  return {};
}

Result<> FakeMachine::release(FrameRange range, std::uint8_t who) {
  if (range == save_area()) return release_save_area(who);
  if (auto checked = check_held(range, who); !checked) return checked;
  const auto refuse = [this] {
    --shared_->refusals_left;
    return fail(shared_->refuse_code, "refused by the test");
  };
  if (shared_->refusals_left > 0 && shared_->refuse_code == ErrorCode::kUnsupported)
    return refuse();  // Nothing is asked for then.
  bool is_block_ready = false;
  for (std::uint64_t i = range.begin.value; i < range.end.value; ++i) {
    if (shared_->state[i] != kHeld) continue;
    shared_->state[i] = kAsked;
    shared_->released_by[i] = who;
  }
  for (std::uint64_t i = range.begin.value; i < range.end.value; i += kBlockFrames)
    is_block_ready = is_block_ready || is_ready_block(i);
  is_block_ready = is_block_ready || is_ready_block(range.end.value - 1);
  // Linux is not asked before a block is whole.
  if (shared_->refusals_left > 0 && is_block_ready) return refuse();
  // A block comes back with its last frame.
  for (std::uint64_t at = round_down(range.begin.value, kBlockFrames); at < range.end.value;
       at += kBlockFrames) {
    const auto begin = shared_->state.begin() + static_cast<std::ptrdiff_t>(at);
    if (is_ready_block(at))
      std::replace(begin, begin + kBlockFrames, std::uint8_t{kAsked}, std::uint8_t{kReleased});
  }
  return {};
}

bool FakeMachine::release_by_hand(FrameRange range) {
  const Lock lock(*this);
  return release(range, kHand).has_value();
}

void FakeMachine::release_all_by_hand() {
  const Lock lock(*this);
  for (std::uint64_t i = 0; i < frames_; ++i) {
    if (shared_->state[i] != kHeld && shared_->state[i] != kAsked) continue;
    if (shared_->state[i] == kHeld) shared_->released_by[i] = kHand;
    shared_->state[i] = kReleased;
  }
  static_cast<void>(release_save_area(kHand));
}

FrameSet FakeMachine::by_hand() const {
  const Lock lock(*this);
  FrameSet frames;
  for (std::uint64_t i = 0; i < frames_; ++i)
    if (shared_->released_by[i] == kHand ||
        (shared_->state[i] == kWindow && shared_->save_area_released_by == kHand))
      frames.insert({Gfn{i}, Gfn{i + 1}});
  return frames;
}

RegionTable FakeMachine::table() const {
  static constexpr RegionState kStates[] = {RegionState::kHole, RegionState::kWindow,
                                            RegionState::kHeld, RegionState::kPartial,
                                            RegionState::kReleased};
  std::vector<Region> regions;
  for (std::uint64_t i = 0; i < frames_; ++i) {
    const RegionState state = kStates[shared_->state[i]];
    if (!regions.empty() && regions.back().state == state)
      regions.back().range.end = Gfn{i + 1};
    else
      regions.push_back({{Gfn{i}, Gfn{i + 1}}, state});
  }
  if (!shared_->save_area_released) regions.push_back({save_area(), RegionState::kSaveArea});
  return RegionTable(std::move(regions));
}

std::unique_ptr<RegionReleaser> FakeMachine::releaser() {
  return std::make_unique<FakeReleaser>(*this);
}

std::unique_ptr<VmcoreSource> FakeMachine::vmcore() {
  return std::make_unique<FakeVmcore>(*this);
}

}  // namespace hadump
