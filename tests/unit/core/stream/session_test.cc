// SPDX-License-Identifier: GPL-2.0-or-later
// Both sides of a stream on two threads, with a channel in memory between them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "core/stream/receive_stream.h"
#include "core/stream/sender.h"
#include "tests/contract/byte_channel_contract.h"
#include "tests/fakes/stream/memory_channel.h"
#include "tests/fakes/stream/memory_store.h"
#include "tests/unit/core/stream/stream_bytes.h"

namespace hadump {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

milliseconds steady_now() {
  return std::chrono::duration_cast<milliseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
}

constexpr milliseconds kShort{300};

/// A host that receives one stream on a thread.
class Host {
 public:
  explicit Host(MemoryChannel::Size size = {}, milliseconds silence = std::chrono::minutes(10)) {
    auto [guest_end, host_end] = MemoryChannel::make_pair(size);
    guest = std::move(guest_end);
    channel_ = std::move(host_end);
    silence_ = silence;
  }
  ~Host() { guest.reset(); }

  void start() {
    thread_ = std::jthread([this] {
      received = receive_stream({*channel_, store,
                                 [this]() -> Result<> {
                                   if (!is_stopped) return {};
                                   return fail(ErrorCode::kCancelled, "hadumpd ends");
                                 },
                                 [this](const std::string&, std::uint64_t, std::uint64_t durable) {
                                   shown_durable = durable;
                                 },
                                 steady_now, silence_});
      channel_.reset();
    });
  }
  void join() { thread_.join(); }
  StreamSender sender(milliseconds silence = std::chrono::minutes(10)) {
    return {std::move(guest), {[] { return false; }, steady_now, silence}};
  }

  MemoryStore store;
  std::unique_ptr<ByteChannel> guest;
  Result<ReceivedStream> received = fail(ErrorCode::kOs, "not over");
  std::uint64_t shown_durable = 0;
  std::atomic<bool> is_stopped = false;

 private:
  std::unique_ptr<ByteChannel> channel_;
  milliseconds silence_{};
  std::jthread thread_;
};

TEST(MemoryChannel, KeepsTheContract) {
  for (std::size_t most : {0U, 1U, 7U}) {
    auto [a, b] = MemoryChannel::make_pair({.ring_bytes = 512, .most_at_once = most});
    check_byte_channel_contract({std::move(a), std::move(b)}, 3000);
  }
}

TEST(Stream, ArrivesWhole) {
  for (std::size_t most : {0U, 1U, 13U}) {
    Host host({.ring_bytes = 1000, .most_at_once = most});
    host.start();
    const auto content = random_bytes(50'000);
    StreamSender sender = host.sender();
    ASSERT_TRUE(sender.open("vmcore"));
    EXPECT_EQ(sender.file(), "vmcore");
    ASSERT_TRUE(sender.send(std::span(content).first(20'000)));
    ASSERT_TRUE(sender.sync());
    EXPECT_EQ(sender.durable(), 20'000U);
    ASSERT_TRUE(sender.send(std::span(content).subspan(20'000)));
    ASSERT_TRUE(sender.end());
    EXPECT_EQ(sender.durable(), 50'000U);
    host.join();
    ASSERT_TRUE(host.received) << host.received.error().what();
    EXPECT_EQ(host.received->bytes, 50'000U);
    EXPECT_TRUE(host.store.is_published());
    EXPECT_EQ(host.store.written(), content);
  }
}

TEST(Stream, WaitsForASlowHost) {
  Host host({.ring_bytes = 4096, .most_at_once = 0});
  host.store.on_write = [] { std::this_thread::sleep_for(milliseconds(20)); };
  host.start();
  const auto content = random_bytes(100'000);
  StreamSender sender = host.sender();
  ASSERT_TRUE(sender.open(""));
  EXPECT_EQ(sender.file(), "stream-1");
  ASSERT_TRUE(sender.send(content));
  ASSERT_TRUE(sender.end());
  host.join();
  EXPECT_EQ(host.store.written(), content);
}

// All in one piece: what the log says of the file must not be what was true before it.
TEST(Stream, ShowsWhatIsDurableWhenGarbageFollows) {
  Host host;
  GuestWords words;
  words.open("a").data(random_bytes(100)).say(StreamMessage::kSync).header(99, 0, 0);
  ASSERT_EQ(host.guest->write(words.bytes()).value(), words.bytes().size());
  host.start();
  host.join();
  EXPECT_FALSE(host.received);
  EXPECT_EQ(host.shown_durable, 100U);
}

TEST(Stream, EndsWithTheGuest) {
  Host host;
  host.start();
  {
    StreamSender sender = host.sender();
    ASSERT_TRUE(sender.open("a"));
    ASSERT_TRUE(sender.send(random_bytes(100)));
    ASSERT_TRUE(sender.sync());
    ASSERT_TRUE(sender.send(random_bytes(100)));
  }
  host.join();
  ASSERT_FALSE(host.received);
  EXPECT_THAT(host.received.error().what(), HasSubstr("closed the stream too early"));
  EXPECT_FALSE(host.store.is_published());
  EXPECT_EQ(host.store.durable(), 100U);
}

TEST(Stream, EndsWhenTheHostStops) {
  Host host;
  host.start();
  StreamSender sender = host.sender();
  ASSERT_TRUE(sender.open("a"));
  host.is_stopped = true;
  Result<> sent;
  while (sent) sent = sender.send(random_bytes(1000));
  EXPECT_EQ(sent.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(sent.error().what(), HasSubstr("hadumpd ends"));
  host.join();
  EXPECT_FALSE(host.store.is_published());
}

// What killing hadumpd does: the ring is unmapped, and nothing was said.
TEST(Stream, EndsWithTheHostsProcess) {
  auto [guest, other] = MemoryChannel::make_pair({});
  std::vector<std::byte> bytes;
  const std::string name = "a";
  put_stream_message(bytes, StreamMessage::kAccept, 1000, std::as_bytes(std::span(name)));
  ASSERT_EQ(other->write(bytes).value(), bytes.size());
  StreamSender sender(std::move(guest), {[] { return false; }, steady_now});
  ASSERT_TRUE(sender.open("a"));
  other.reset();
  const auto sent = sender.send(random_bytes(10));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().os_errno(), EPIPE);
  EXPECT_EQ(sender.durable(), 0U);
}

TEST(Stream, GivesAGuestUpThatStandsStill) {
  Host host({}, kShort);
  host.start();
  StreamSender sender = host.sender();
  ASSERT_TRUE(sender.open("a"));
  host.join();
  ASSERT_FALSE(host.received);
  EXPECT_EQ(host.received.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(host.received.error().what(), HasSubstr("stood still"));
}

// It asks for acknowledgments, and reads none of them: what is kept for it does not grow.
TEST(Stream, GivesAGuestUpThatDoesNotListen) {
  Host host({.ring_bytes = 256, .most_at_once = 0}, kShort);
  host.start();
  GuestWords words;
  words.open("a");
  for (int i = 0; i < 1000; ++i) words.say(StreamMessage::kSync);
  for (std::span<const std::byte> rest = words.bytes(); !rest.empty();) {
    auto put = host.guest->write(rest);
    if (!put) break;
    rest = rest.subspan(*put);
    if (*put == 0 && !host.guest->wait(milliseconds(10))) break;
  }
  host.join();
  ASSERT_FALSE(host.received);
  EXPECT_LT(host.store.syncs(), 100U);
}

TEST(Stream, GivesAHostUpThatDoesNotAnswer) {
  auto [guest, host] = MemoryChannel::make_pair({});
  StreamSender sender(std::move(guest), {[] { return false; }, steady_now, kShort});
  const auto opened = sender.open("a");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().what(), HasSubstr("has not answered"));
}

TEST(Stream, CanBeStopped) {
  auto [guest, host] = MemoryChannel::make_pair({});
  StreamSender sender(std::move(guest), {[] { return true; }, steady_now});
  const auto opened = sender.open("a");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kCancelled);
}

TEST(Stream, TellsTheHostsReasonEvenWhenItHasClosed) {
  Host host;
  host.store.room = 5000;
  host.start();
  StreamSender sender = host.sender();
  ASSERT_TRUE(sender.open("a"));
  Result<> sent;
  while (sent) sent = sender.send(random_bytes(3000));
  EXPECT_EQ(sent.error().code(), ErrorCode::kNoSpace) << sent.error().what();
  host.join();
  ASSERT_FALSE(host.received);
  EXPECT_EQ(host.received.error().code(), ErrorCode::kNoSpace);
}

}  // namespace
}  // namespace hadump
