// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "core/vmcore/source.h"

namespace hadump {

/// What every VmcoreSource must do. The subject is a dump of kContractFrames, each filled with a
/// byte of its own; what follows them is not in it.
inline constexpr FrameRange kContractFrames{Gfn{16}, Gfn{24}};

inline std::byte contract_fill(Gfn gfn) {
  return static_cast<std::byte>(0x21 + gfn.value - kContractFrames.begin.value);
}

inline bool is_filled(std::span<const std::byte> bytes, std::byte value) {
  return std::all_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b == value; });
}

/// Into a buffer with something else in it, so that what is not written is seen.
inline void check_reading(const VmcoreSource& source) {
  const std::size_t count = kContractFrames.frames() + 2;
  std::vector<std::byte> out(count * kFrameSize, std::byte{0xee});
  std::vector<FrameStatus> status(count, FrameStatus::kFailed);
  ASSERT_TRUE(source.read(kContractFrames.begin, out, status));
  for (std::size_t i = 0; i < count; ++i) {
    const Gfn gfn{kContractFrames.begin.value + i};
    const bool there = kContractFrames.contains(gfn);
    EXPECT_EQ(status[i], there ? FrameStatus::kRead : FrameStatus::kAbsent) << i;
    EXPECT_TRUE(is_filled(std::span(out).subspan(i * kFrameSize, kFrameSize),
                          there ? contract_fill(gfn) : std::byte{0}))
        << i;
  }
}

inline void check_views(const VmcoreSource& source) {
  std::vector<FrameView> views;
  for (FrameRange rest = kContractFrames; !rest.empty();) {
    auto view = source.map(rest);
    ASSERT_TRUE(view) << view.error().what();
    ASSERT_FALSE(view->range().empty());
    ASSERT_EQ(view->range().begin, rest.begin);
    ASSERT_LE(view->range().end, rest.end);
    rest.begin = view->range().end;
    views.push_back(std::move(*view));
  }
  for (const FrameView& view : views) {  // moved, and several at once
    ASSERT_EQ(view.bytes().size(), view.range().bytes());
    for (std::size_t i = 0; i < view.range().frames(); ++i)
      EXPECT_TRUE(is_filled(view.bytes().subspan(i * kFrameSize, kFrameSize),
                            contract_fill(Gfn{view.range().begin.value + i})));
  }
  // A view ends where the dump does.
  const Gfn last{kContractFrames.end.value - 1};
  const auto end = source.map({last, Gfn{last.value + 4}});
  ASSERT_TRUE(end) << end.error().what();
  EXPECT_EQ(end->range(), (FrameRange{last, kContractFrames.end}));
  const auto absent = source.map({kContractFrames.end, Gfn{kContractFrames.end.value + 1}});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), ErrorCode::kNotFound);
}

inline void check_vmcore_source_contract(const VmcoreSource& source) {
  const VmcoreLayout& layout = source.layout();
  EXPECT_EQ(&layout, &source.layout());
  EXPECT_EQ(layout.frames, FrameSet{kContractFrames});
  FrameSet segments;
  for (const LoadSegment& segment : layout.segments)
    segments.insert(frames_of_bytes(segment.phys.value, segment.memory_bytes));
  EXPECT_EQ(segments, layout.frames);

  EXPECT_TRUE(layout.absent.empty() && layout.lost.empty());
  const auto present = source.present_in({Gfn{0}, Gfn{kContractFrames.end.value - 1}});
  ASSERT_TRUE(present);
  EXPECT_EQ(*present, (FrameSet{{kContractFrames.begin, Gfn{kContractFrames.end.value - 1}}}));

  check_reading(source);
  check_views(source);
  std::thread beside([&] { check_reading(source); });
  check_views(source);
  beside.join();
}

}  // namespace hadump
