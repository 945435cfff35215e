// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/stream/memory_store.h"
#include "tests/unit/core/stream/stream_bytes.h"

namespace hadump {
namespace {

using testing::HasSubstr;

struct Heard {
  StreamReplies replies;
  Result<> result;
};

/// What the guest learns of it.
Heard hear(StreamReceiver& receiver, std::uint64_t sent) {
  Heard heard;
  heard.result = heard.replies.feed(receiver.replies(), sent);
  return heard;
}

TEST(StreamReceiver, WritesWhatComesAndAcknowledgesWhatIsDurable) {
  MemoryStore store;
  StreamReceiver receiver(store);
  const auto body = random_bytes(5000);
  receiver.feed(GuestWords().open("vmcore").data(body).bytes());
  EXPECT_EQ(store.name(), "vmcore");
  EXPECT_EQ(store.written(), body);
  Heard heard = hear(receiver, 5000);
  ASSERT_TRUE(heard.result);
  EXPECT_TRUE(heard.replies.is_accepted());
  EXPECT_EQ(heard.replies.file(), "vmcore");
  EXPECT_EQ(heard.replies.durable(), 0U) << "nothing has been made durable yet";
}

TEST(StreamReceiver, AcknowledgesOnlyBehindADurableStore) {
  MemoryStore store;
  store.refuses_to_sync = true;
  StreamReceiver receiver(store);
  receiver.feed(
      GuestWords().open("vmcore").data(random_bytes(10)).say(StreamMessage::kSync).bytes());
  const Heard heard = hear(receiver, 10);
  ASSERT_FALSE(heard.result);
  EXPECT_THAT(heard.result.error().what(), HasSubstr("hadumpd's log says why"));
  EXPECT_THAT(receiver.error()->what(), HasSubstr("making it durable"));
  EXPECT_EQ(heard.replies.durable(), 0U);
  EXPECT_TRUE(receiver.is_over());
}

TEST(StreamReceiver, PublishesAtTheEndAndThenOnly) {
  MemoryStore store;
  StreamReceiver receiver(store);
  GuestWords words;
  words.open("a").data(random_bytes(10)).say(StreamMessage::kSync);
  receiver.feed(words.bytes());
  EXPECT_FALSE(store.is_published());
  EXPECT_EQ(hear(receiver, 10).replies.durable(), 10U);
  receiver.replies().clear();
  receiver.feed(std::span(words.say(StreamMessage::kEnd).bytes()).last(kStreamHeaderBytes));
  EXPECT_TRUE(store.is_published());
  EXPECT_EQ(store.durable(), 10U);
  EXPECT_TRUE(receiver.is_over());
  EXPECT_FALSE(receiver.error());
}

TEST(StreamReceiver, MakesDurableByItself) {
  MemoryStore store;
  StreamReceiver receiver(store);
  GuestWords words;
  words.open("a");
  for (std::uint64_t sent = 0; sent < kStreamSyncEvery; sent += kMaxStreamData)
    words.data(std::vector<std::byte>(kMaxStreamData));
  receiver.feed(words.bytes());
  EXPECT_EQ(store.syncs(), 1U);
  EXPECT_EQ(hear(receiver, kStreamSyncEvery).replies.durable(), kStreamSyncEvery);
}

TEST(StreamReceiver, TellsTheReasonWhenThereIsNoRoom) {
  MemoryStore store;
  store.room = 100;
  StreamReceiver receiver(store);
  GuestWords words;
  words.open("a").data(random_bytes(60)).say(StreamMessage::kSync).data(random_bytes(60));
  words.say(StreamMessage::kEnd);
  receiver.feed(words.bytes());
  const Heard heard = hear(receiver, 120);
  ASSERT_FALSE(heard.result);
  EXPECT_EQ(heard.result.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(heard.replies.durable(), 60U) << "what was acknowledged stays so";
  EXPECT_FALSE(store.is_published());
}

struct BadWords {
  const char* what;
  std::vector<std::byte> bytes;
  const char* why;
};

std::vector<std::byte> with_version(std::uint32_t version) {
  auto bytes = GuestWords().open("a").bytes();
  const le32 wire = version;
  std::memcpy(bytes.data() + kStreamHeaderBytes + 8, &wire, sizeof(wire));
  return bytes;
}

std::vector<std::byte> without_magic() {
  auto bytes = GuestWords().open("a").bytes();
  bytes[kStreamHeaderBytes] = std::byte{0};
  return bytes;
}

class StreamGarbage : public testing::TestWithParam<BadWords> {};

TEST_P(StreamGarbage, EndsTheStreamAndLeavesNothingPublished) {
  MemoryStore store;
  StreamReceiver receiver(store);
  receiver.feed(GetParam().bytes);
  EXPECT_TRUE(receiver.is_over());
  EXPECT_FALSE(store.is_published());
  ASSERT_TRUE(receiver.error());
  EXPECT_THAT(receiver.error()->what(), HasSubstr(GetParam().why));
  const std::size_t said = receiver.replies().size();
  receiver.feed(GuestWords().open("b").data(random_bytes(3)).bytes());
  EXPECT_EQ(receiver.replies().size(), said) << "what comes after the end is ignored";
}

INSTANTIATE_TEST_SUITE_P(
    Words, StreamGarbage,
    testing::Values(
        BadWords{"UnknownType", GuestWords().header(5, 0, 0).bytes(), "unknown type 0x5"},
        BadWords{"TypeOfTheHost", GuestWords().header(0x12, 0, 0).bytes(), "unknown type 0x12"},
        BadWords{"HugeType", GuestWords().header(~0U, ~0U, ~0ULL).bytes(), "unknown type"},
        BadWords{"NotOpen", GuestWords().data(random_bytes(3)).bytes(), "not open yet"},
        BadWords{"EndFirst", GuestWords().say(StreamMessage::kEnd).bytes(), "not open yet"},
        BadWords{"TwiceOpen", GuestWords().open("a").open("b").bytes(), "open already"},
        BadWords{"NoMagic", without_magic(), "no magic"},
        BadWords{"NewerVersion", with_version(2), "version 2"},
        BadWords{"LongName", GuestWords().header(1, 16 + 101, 0).bytes(), "may have 16 to 116"},
        BadWords{"ShortOpen", GuestWords().header(1, 15, 0).bytes(), "may have 16 to 116"},
        BadWords{"LongData", GuestWords().open("a").header(2, (1 << 20) + 1, 0).bytes(),
                 "1048577 bytes"},
        BadWords{"EmptyData", GuestWords().open("a").header(2, 0, 0).bytes(), "may have 1 to"},
        BadWords{"Gap", GuestWords().open("a").header(2, 10, 1).bytes(), "position 1"},
        BadWords{"EndTooEarly",
                 GuestWords().open("a").data(random_bytes(3)).header(4, 0, 4).bytes(),
                 "position 4, but 3"},
        BadWords{"SyncWithABody", GuestWords().open("a").header(3, 1, 0).bytes(),
                 "may have 0 to 0"},
        BadWords{"Slash", GuestWords().open("a/b").bytes(), "invalid name 'a/b'"},
        BadWords{"Parent", GuestWords().open("..").bytes(), "must not begin with '.'"}),
    [](const auto& chosen) { return std::string(chosen.param.what); });

// Property: however the bytes are cut, what is written and what is said is the same.
TEST(StreamReceiver, DoesNotCareHowTheBytesAreCut) {
  GuestWords words;
  words.open("name");
  for (unsigned i = 1; i <= 20; ++i) {
    words.data(random_bytes(i * 37, i));
    if (i % 4 == 0) words.say(StreamMessage::kSync);
  }
  words.say(StreamMessage::kEnd);
  MemoryStore whole_store;
  StreamReceiver whole(whole_store);
  whole.feed(words.bytes());
  ASSERT_TRUE(whole_store.is_published());
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    MemoryStore store;
    StreamReceiver receiver(store);
    const std::size_t most = 1 + random() % 64;
    for (std::span<const std::byte> rest = words.bytes(); !rest.empty();) {
      const std::size_t piece = std::min<std::size_t>(rest.size(), 1 + random() % most);
      receiver.feed(rest.first(piece));
      rest = rest.subspan(piece);
    }
    ASSERT_EQ(store.written(), whole_store.written());
    ASSERT_EQ(receiver.replies(), whole.replies());
    ASSERT_TRUE(store.is_published());
  }
}

// Property: cut off anywhere, nothing is published, and nothing is acknowledged that is not
// durable.
TEST(StreamReceiver, PublishesNothingThatWasCutOff) {
  GuestWords words;
  words.open("name").data(random_bytes(300)).say(StreamMessage::kSync).data(random_bytes(200));
  words.say(StreamMessage::kEnd);
  for (std::size_t size = 0; size < words.bytes().size(); ++size) {
    MemoryStore store;
    StreamReceiver receiver(store);
    receiver.feed(std::span(words.bytes()).first(size));
    ASSERT_FALSE(store.is_published()) << size;
    StreamReplies replies;
    ASSERT_TRUE(replies.feed(receiver.replies(), 500));
    ASSERT_LE(replies.durable(), store.durable()) << size;
  }
}

TEST(StreamName, IsAPlainFileName) {
  for (const char* name : {"vmcore", "a", "web-2026.01.02T03:04:05", "x.gz", "A_b+c@d,e=f"})
    EXPECT_TRUE(check_stream_name(name)) << name;
  for (const char* name : {"", ".", "..", ".x", "-rf", "a/b", "/etc/passwd", "a b", "a\nb", "a\\b",
                           "a\x7f", "caf\xc3\xa9", "$(reboot)", "x-incomplete", "x-incomplete.1"})
    EXPECT_FALSE(check_stream_name(name)) << name;
  EXPECT_FALSE(check_stream_name(std::string_view("a\0b", 3)));
  EXPECT_TRUE(check_stream_name(std::string(kMaxStreamName, 'a')));
  EXPECT_FALSE(check_stream_name(std::string(kMaxStreamName + 1, 'a')));
}

}  // namespace
}  // namespace hadump
