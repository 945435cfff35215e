// SPDX-License-Identifier: GPL-2.0-or-later
// A save to the host: memory is given back for what the host has acknowledged, and for nothing
// else.
#include "userspace/release_region/host_sink.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <thread>

#include "core/base/file.h"
#include "core/stream/receive_stream.h"
#include "tests/fakes/stream/memory_channel.h"
#include "tests/fakes/stream/memory_store.h"
#include "tests/unit/core/save/save_harness.h"
#include "userspace/release_region/host_target.h"

namespace hadump {
namespace {

using testing::HasSubstr;

/// A save with a host that receives on another thread.
struct HostSave {
  MemoryStore store;
  std::shared_ptr<HostCopy> copy = std::make_shared<HostCopy>();
  SaveRun result;

  void run(FakeMachine& machine) {
    const MemoryChannel::Size size{.ring_bytes = 64 << 10, .most_at_once = 0};
    auto [guest, host] = MemoryChannel::make_pair(size);
    const auto world = host_world([] { return false; });
    const std::jthread receiver([this, &world, channel = std::move(host)]() mutable {
      static_cast<void>(
          receive_stream({*channel, store, []() -> Result<> { return {}; },
                          [](const std::string&, std::uint64_t, std::uint64_t) {}, world.now}));
      channel.reset();
    });
    SaveOptions options = save_options("-", &stream_format());
    options.to_host = true;
    options.volatile_target = false;
    result = save_here(machine, options, kNoLimit, "", -1, {},
                       [&]() -> Result<std::unique_ptr<DumpSink>> {
                         auto sender = std::make_unique<StreamSender>(std::move(guest), world);
                         if (auto opened = sender->open("vmcore"); !opened)
                           return fail(std::move(opened));
                         return open_host_sink(std::move(sender), copy);
                       });
    guest.reset();
  }

  /// What the host has after a power cut, as a file.
  void write_durable(const std::string& path) const {
    const auto fd = open_file(path, O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(fd);
    ASSERT_TRUE(write_all(fd->get(), std::span(store.written()).first(store.durable()), path));
  }
};

TEST(HostSave, WritesEveryFrameAndGivesAllMemoryBack) {
  FakeMachine machine(1, 2, 8);
  HostSave save;
  save.run(machine);
  EXPECT_EQ(save.result.exit_code, kExitOk) << save.result.messages;
  EXPECT_THAT(save.result.messages, HasSubstr("the dump is in host:vmcore"));
  EXPECT_TRUE(save.store.is_published());
  EXPECT_TRUE(save.copy->whole);
  EXPECT_TRUE(machine.all_back());
  EXPECT_EQ(machine.violation(), "");
  const TemporaryDirectory dir;
  save.write_durable(dir / "received");
  expect_truth({dir / "received"}, machine, machine.old_frames());
}

TEST(HostSave, ReleasesNothingThatTheHostDidNotMakeDurable) {
  FakeMachine machine(2, 1, 6);
  const FrameSet held = machine.held_frames();
  HostSave save;
  save.store.refuses_to_sync = true;
  save.run(machine);
  EXPECT_EQ(save.result.exit_code, kExitFailed);
  EXPECT_THAT(save.result.messages, HasSubstr("hadumpd's log says why"));
  EXPECT_EQ(machine.held_frames(), held);
  EXPECT_FALSE(machine.all_back());
}

// Full at any byte: what is not held any more is in what the host has durably.
TEST(HostSave, HasEverythingThatWasReleasedWhenTheHostIsFull) {
  for (std::uint64_t room = 8_KiB; room < 7_MiB; room += 701 * 1024 + 17) {
    SCOPED_TRACE(room);
    FakeMachine machine(room, 1, 6);
    const FrameSet all = machine.old_frames();
    HostSave save;
    save.store.room = room;
    save.run(machine);
    if (save.result.exit_code == kExitOk) break;
    EXPECT_EQ(save.result.exit_code, kExitTargetFull) << save.result.messages;
    EXPECT_FALSE(save.store.is_published());
    EXPECT_LE(save.copy->durable, save.store.durable());
    FrameSet released = all;
    released.erase(machine.held_frames());
    released.erase({Gfn{0}, Gfn{FakeMachine::kBlockFrames}});
    if (released.empty()) continue;
    const TemporaryDirectory dir;
    save.write_durable(dir / "cut-off");
    expect_truth({dir / "cut-off"}, machine, released);
  }
}

}  // namespace
}  // namespace hadump
