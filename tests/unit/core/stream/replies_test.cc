// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/replies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace hadump {
namespace {

using testing::HasSubstr;

std::vector<std::byte> accepted() {
  std::vector<std::byte> bytes;
  const std::string name = "vmcore";
  put_stream_message(bytes, StreamMessage::kAccept, 1000, std::as_bytes(std::span(name)));
  return bytes;
}

std::vector<std::byte> with(std::vector<std::byte> bytes, StreamMessage type,
                            std::uint64_t position) {
  put_stream_message(bytes, type, position);
  return bytes;
}

TEST(StreamReplies, KnowWhatTheHostHasSaid) {
  StreamReplies replies;
  ASSERT_TRUE(replies.feed(with(accepted(), StreamMessage::kAck, 7), 10));
  EXPECT_TRUE(replies.is_accepted());
  EXPECT_EQ(replies.file(), "vmcore");
  EXPECT_EQ(replies.room(), 1000U);
  EXPECT_EQ(replies.durable(), 7U);
  EXPECT_FALSE(replies.is_done());
  ASSERT_TRUE(replies.feed(with({}, StreamMessage::kDone, 10), 10));
  EXPECT_TRUE(replies.is_done());
}

TEST(StreamReplies, BelieveNoAcknowledgmentBeyondWhatWasSent) {
  StreamReplies replies;
  const auto result = replies.feed(with(accepted(), StreamMessage::kAck, 11), 10);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what(), HasSubstr("11 bytes are said to be durable"));
  EXPECT_EQ(replies.durable(), 0U);
  EXPECT_FALSE(replies.feed(with({}, StreamMessage::kAck, 10), 10)) << "and nothing after it";
}

TEST(StreamReplies, BelieveNoAcknowledgmentThatIsTakenBack) {
  StreamReplies replies;
  ASSERT_TRUE(replies.feed(with(accepted(), StreamMessage::kAck, 9), 10));
  EXPECT_FALSE(replies.feed(with({}, StreamMessage::kAck, 8), 10));
  EXPECT_EQ(replies.durable(), 9U);
}

TEST(StreamReplies, BelieveNoEndOfAPart) {
  StreamReplies replies;
  EXPECT_FALSE(replies.feed(with(accepted(), StreamMessage::kDone, 9), 10));
  EXPECT_FALSE(replies.is_done());
}

TEST(StreamReplies, WantToBeAcceptedFirstAndOnce) {
  StreamReplies early, twice;
  EXPECT_FALSE(early.feed(with({}, StreamMessage::kAck, 0), 10));
  ASSERT_TRUE(twice.feed(accepted(), 10));
  EXPECT_FALSE(twice.feed(accepted(), 10));
}

TEST(StreamReplies, GiveTheHostsReasonWithWhatIsDurable) {
  std::vector<std::byte> bytes = accepted();
  put_stream_error(bytes, StreamRefusal::kNoRoom, 5, "the quota is\x1b[2J used up");
  StreamReplies replies;
  const auto result = replies.feed(bytes, 10);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(result.error().what(), "the host has ended the stream: the quota is?[2J used up");
  EXPECT_EQ(replies.durable(), 5U);
}

TEST(StreamReplies, KnowAnErrorOfACodeThatIsNew) {
  EXPECT_EQ(error_of_refusal(99, "x").code(), ErrorCode::kOs);
  EXPECT_EQ(error_of_refusal(2, "x").code(), ErrorCode::kBadData);
}

TEST(StreamReplies, CutATextThatIsTooLong) {
  std::vector<std::byte> bytes;
  put_stream_error(bytes, StreamRefusal::kWriting, 0, std::string(5000, 'x'));
  EXPECT_EQ(bytes.size(), kStreamHeaderBytes + 4 + kMaxStreamError);
  StreamReplies replies;
  const auto result = replies.feed(bytes, 0);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what(), HasSubstr("xxx"));
}

}  // namespace
}  // namespace hadump
