// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lab/truth/xen_frames.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace hadump::lab {
namespace {

using Frame = std::array<std::byte, kFrameSize>;

void put(Frame& frame, std::size_t at, std::uint32_t word) {
  std::memcpy(frame.data() + at, &word, sizeof(word));
}

Frame event_array() {
  Frame frame{};
  for (std::size_t at = 0; at < kFrameSize; at += 4) put(frame, at, 1U << 30);
  put(frame, 8, 0);
  return frame;
}

TEST(XenFrames, ExplainAnEventThatWasRaised) {
  const Frame before = event_array();
  ASSERT_TRUE(may_be_xens(0x1234, before));
  Frame after = before;
  put(after, 8, 5U << 29 | 7);
  EXPECT_TRUE(explain_kept(0x1234, before, after));
  put(after, 8, 1U << 28);  // no bit of an event word
  EXPECT_FALSE(explain_kept(0x1234, before, after));
}

TEST(XenFrames, ExplainAControlBlock) {
  Frame before{};
  put(before, 8, 5);
  ASSERT_TRUE(may_be_xens(0x1234, before));
  Frame after = before;
  put(after, 0, 0x81);
  EXPECT_TRUE(explain_kept(0x1234, before, after));
  put(after, 72, 1);  // after the block
  EXPECT_FALSE(explain_kept(0x1234, before, after));
}

TEST(XenFrames, KeepNeitherZerosNorData) {
  EXPECT_FALSE(may_be_xens(0x1234, Frame{}));
  Frame data{};
  put(data, 0, 0xdeadbeef);
  EXPECT_FALSE(may_be_xens(0x1234, data));
  EXPECT_TRUE(may_be_xens(0xff, Frame{}));
}

TEST(XenFrames, ExplainTheWallClockAndNothingElseOfTheSharedInfo) {
  const Frame before{};
  Frame after{};
  put(after, 0xc00, 2);
  put(after, 0xc0c, 99);
  EXPECT_TRUE(explain_kept(0x10, before, after));
  EXPECT_FALSE(explain_kept(0x11, before, after));
  put(after, 0xc10, 1);
  EXPECT_FALSE(explain_kept(0x10, before, after));
}

TEST(XenFrames, ExplainOneMarkedVcpuInfo) {
  Frame before{};
  put(before, 0x80, 0x01);  // one that was marked already
  put(before, 0x104, 0xdeadbeef);
  Frame after = before;
  after[0x100] = std::byte{1};
  EXPECT_TRUE(explain_vcpu_info(frame_hash(before), after));
  after[0x141] = std::byte{1};  // not the mark
  EXPECT_FALSE(explain_vcpu_info(frame_hash(before), after));
}

}  // namespace
}  // namespace hadump::lab
