// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_send.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>
#include <thread>

#include "core/base/file.h"
#include "core/stream/receive_stream.h"
#include "tests/fakes/stream/memory_channel.h"
#include "tests/fakes/stream/memory_store.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/release_region/host_target.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST(ParseSend, TakesTheHostOnly) {
  EXPECT_EQ(parse_send({"--to", "host:"})->name, "");
  EXPECT_EQ(parse_send({"--to", "host:vmcore.flat"})->name, "vmcore.flat");
  EXPECT_TRUE(parse_send({"--help"})->help);
  using Args = std::vector<std::string>;
  for (const Args& bad : {Args{}, Args{"--to", "host"}, Args{"--to", "/var/crash"},
                          Args{"--to", "host:/etc/passwd"}, Args{"--to", "host:../x"},
                          Args{"--to", "host:.x"}, Args{"--to", "host:a b"}, Args{"--to", "-"}})
    EXPECT_FALSE(parse_send(bad)) << testing::PrintToString(bad);
}

/// `send` with a host that receives on another thread.
struct SendRun {
  MemoryStore store;
  std::string said;
  int status = -1;
  bool asked_for_a_channel = false;

  void send(const std::vector<std::byte>& content, const std::string& name = "") {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd input(ends[0]);
    UniqueFd output(ends[1]);
    const MemoryChannel::Size size{.ring_bytes = 4096, .most_at_once = 0};
    auto [guest, host] = MemoryChannel::make_pair(size);
    const auto world = host_world([] { return false; });
    std::jthread receiver([this, &world, channel = std::move(host)]() mutable {
      static_cast<void>(
          receive_stream({*channel, store, []() -> Result<> { return {}; },
                          [](const std::string&, std::uint64_t, std::uint64_t) {}, world.now}));
      channel.reset();
    });
    std::jthread writer([&] {
      static_cast<void>(write_all(output.get(), content, "the pipe"));
      output.reset();
    });
    std::ostringstream out, err;
    const SendWorld send_world{input.get(),
                               [&]() -> Result<std::unique_ptr<ByteChannel>> {
                                 asked_for_a_channel = true;
                                 return std::move(guest);
                               },
                               world};
    status = run_send({false, name}, send_world, {"release-region", {}, {out, err}});
    said = err.str();
    guest.reset();
  }
};

TEST(Send, PassesStandardInputOn) {
  std::vector<std::byte> content(700'000);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 31);
  SendRun run;
  run.send(content, "vmcore");
  EXPECT_EQ(run.status, kExitOk) << run.said;
  EXPECT_TRUE(run.store.written() == content);
  EXPECT_TRUE(run.store.is_published());
  EXPECT_EQ(run.said, "release-region send: 683.6 KiB are durable on the host as vmcore\n");
}

TEST(Send, SendsNothingWhenThereIsNothing) {
  SendRun run;
  run.send({});
  EXPECT_EQ(run.status, kExitFailed);
  EXPECT_THAT(run.said, HasSubstr("standard input is empty"));
  EXPECT_FALSE(run.asked_for_a_channel);
  EXPECT_FALSE(run.store.is_open());
}

TEST(Send, SaysWhyTheHostHasNoRoom) {
  SendRun run;
  run.store.room = 10'000;
  run.send(std::vector<std::byte>(100'000));
  EXPECT_EQ(run.status, kExitTargetFull);
  EXPECT_THAT(run.said, HasSubstr("the host has ended the stream: no room"));
  EXPECT_FALSE(run.store.is_published());
}

TEST(Send, SaysWhatIsMissing) {
  std::ostringstream out, err;
  const UniqueFd input(::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
  const SendWorld world{input.get(),
                        []() -> Result<std::unique_ptr<ByteChannel>> {
                          return fail(ErrorCode::kNotFound, "/dev/xen/gntalloc is missing");
                        },
                        host_world([] { return false; })};
  EXPECT_EQ(run_send({}, world, {"release-region", {}, {out, err}}), kExitFailed);
  EXPECT_EQ(err.str(), "release-region send: /dev/xen/gntalloc is missing\n");
}

}  // namespace
}  // namespace hadump
