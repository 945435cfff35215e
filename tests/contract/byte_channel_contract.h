// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "core/stream/channel.h"

namespace hadump {

using ChannelPair = std::pair<std::unique_ptr<ByteChannel>, std::unique_ptr<ByteChannel>>;

namespace channel_contract {

inline constexpr std::chrono::milliseconds kMoment{20};

/// Until it fails or has read `bytes`.
inline Result<std::vector<std::byte>> read_all(ByteChannel& channel, std::size_t bytes) {
  std::vector<std::byte> all(bytes);
  std::size_t have = 0;
  while (have < bytes) {
    auto got = channel.read(std::span(all).subspan(have));
    if (!got) return fail(std::move(got));
    have += *got;
    if (*got == 0)
      if (auto waited = channel.wait(kMoment); !waited) return fail(std::move(waited));
  }
  return all;
}

inline Result<> write_all(ByteChannel& channel, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    auto put = channel.write(bytes);
    if (!put) return fail(std::move(put));
    bytes = bytes.subspan(*put);
    if (*put == 0)
      if (auto waited = channel.wait(kMoment); !waited) return waited;
  }
  return {};
}

}  // namespace channel_contract

/// What every ByteChannel must do.
/// @param pair  both ends of a new, connected one.
/// @param more_than_fits  bytes that its ring does not hold.
inline void check_byte_channel_contract(ChannelPair pair, std::size_t more_than_fits) {
  namespace contract = channel_contract;
  auto& [a, b] = pair;
  std::vector<std::byte> buffer(more_than_fits);

  auto nothing = b->read(buffer);
  ASSERT_TRUE(nothing) << nothing.error().what();
  EXPECT_EQ(*nothing, 0U) << "an empty ring is no error, and is not waited for";
  ASSERT_TRUE(b->wait(contract::kMoment)) << "waiting in vain is no error";

  std::mt19937 random(1);
  std::vector<std::byte> sent(more_than_fits);
  for (std::byte& byte : sent) byte = static_cast<std::byte>(random());
  Result<> written;
  std::thread writer([&] { written = contract::write_all(*a, sent); });
  const auto received = contract::read_all(*b, sent.size());
  writer.join();
  ASSERT_TRUE(written) << written.error().what();
  ASSERT_TRUE(received) << received.error().what();
  EXPECT_TRUE(*received == sent) << "all bytes, once, in order";

  std::size_t fits = 0;
  for (;;) {
    auto put = a->write(std::span(sent).subspan(fits));
    ASSERT_TRUE(put) << put.error().what();
    if (*put == 0) break;
    fits += *put;
  }
  EXPECT_GT(fits, 0U);
  EXPECT_LT(fits, more_than_fits) << "a ring that nobody reads is full at some time";

  const std::vector<std::byte> back(16, std::byte{7});
  ASSERT_TRUE(contract::write_all(*b, back)) << "the other direction has a ring of its own";
  a.reset();
  const auto rest = contract::read_all(*b, fits);
  ASSERT_TRUE(rest) << "what was written before the close can be read: " << rest.error().what();
  EXPECT_TRUE(std::equal(rest->begin(), rest->end(), sent.begin()));
  const auto after = b->read(buffer);
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().os_errno(), EPIPE);
  const auto too_late = b->write(back);
  ASSERT_FALSE(too_late);
  EXPECT_EQ(too_late.error().os_errno(), EPIPE);
}

}  // namespace hadump
