// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "hv/domain/guest_memory.h"

namespace hadump {

/// What every GuestMemory must do. The subject provides a domain with memory and a range where it
/// has none.
struct GuestMemorySubject {
  virtual ~GuestMemorySubject() = default;
  virtual GuestMemory& memory() = 0;
  virtual FrameRange present() = 0;  ///< at least four frames that may be overwritten
  virtual FrameRange absent() = 0;   ///< 2 MiB-aligned, at least 1024 frames, may be populated
};

/// Whoever gets memory that a domain has given back must find nothing of the domain's in it.
inline void check_removed_memory_is_clear(GuestMemory& memory, FrameRange absent) {
  constexpr int kSecret = 0xc3;
  auto added = memory.populate({absent});
  ASSERT_TRUE(added) << added.error().what();
  {
    auto mapping = memory.map(absent, Access::kReadWrite);
    ASSERT_TRUE(mapping && mapping->all_present());
    std::memset(mapping->bytes().data(), kSecret, mapping->bytes().size());
  }
  ASSERT_TRUE(memory.remove(absent));
  // The hypervisor's heap gives back first what it was given last.
  added = memory.populate({absent});
  ASSERT_TRUE(added) << added.error().what();
  std::uint64_t found = 0;
  {
    auto mapping = memory.map(absent, Access::kRead);
    ASSERT_TRUE(mapping && mapping->all_present());
    for (std::size_t i = 0; i < absent.frames(); ++i)
      found += mapping->frame(i)[0] == static_cast<std::byte>(kSecret);
  }
  EXPECT_EQ(found, 0U) << "frames of " << absent.frames() << " came back as they had been left";
  ASSERT_TRUE(memory.remove(absent));
}

/// @param first  of four frames that may be overwritten.
inline void check_replaced_memory(GuestMemory& memory, Gfn first, Gfn spare) {
  const FrameRange four{first, Gfn{first.value + 4}};
  const FrameSet two{{first, Gfn{first.value + 1}}, {Gfn{first.value + 2}, Gfn{first.value + 3}}};
  const std::uint64_t before = memory.total_frames().value();
  {
    auto mapping = memory.map(four, Access::kReadWrite);
    ASSERT_TRUE(mapping && mapping->all_present());
    for (std::size_t i = 0; i < 4; ++i)
      std::memset(mapping->frame(i).data(), static_cast<int>(0x40 + i), kFrameSize);
  }
  std::vector<FrameSet> noted;
  auto done = memory.replace(two, spare, 0, [&](const FrameSet& frames) -> Result<> {
    noted.push_back(frames);
    return {};
  });
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(noted, (std::vector<FrameSet>{two, {}}));
  ASSERT_TRUE(memory.finish_replace(two, spare)) << "again is no error";
  EXPECT_EQ(memory.total_frames().value(), before);
  EXPECT_EQ(memory.kinds({spare, Gfn{spare.value + 1}}).value().front(), FrameKind::kAbsent);
  auto mapping = memory.map(four, Access::kRead);
  ASSERT_TRUE(mapping && mapping->all_present());
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(mapping->frame(i)[kFrameSize - 1], static_cast<std::byte>(0x40 + i)) << i;
}

inline void check_guest_memory_contract(GuestMemorySubject& subject) {
  GuestMemory& memory = subject.memory();
  const FrameRange present = subject.present();
  const FrameRange absent = subject.absent();
  ASSERT_GE(present.frames(), 4U);
  ASSERT_GE(absent.frames(), 1024U);

  {  // What is written through one mapping is read through the next.
    auto mapping = memory.map(present, Access::kReadWrite);
    ASSERT_TRUE(mapping) << mapping.error().what();
    ASSERT_TRUE(mapping->all_present());
    std::memset(mapping->frame(1).data(), 0xa5, kFrameSize);
  }
  {
    auto mapping = memory.map(present, Access::kRead);
    ASSERT_TRUE(mapping);
    EXPECT_EQ(mapping->frame(1)[kFrameSize - 1], std::byte{0xa5});
  }
  {  // Absent frames are no error.
    auto mapping = memory.map(absent, Access::kRead);
    ASSERT_TRUE(mapping) << mapping.error().what();
    EXPECT_FALSE(mapping->present(0));
    EXPECT_FALSE(mapping->present(mapping->range().frames() - 1));
  }
  auto kinds = memory.kinds(present);
  ASSERT_TRUE(kinds);
  EXPECT_EQ(*kinds, std::vector<FrameKind>(present.frames(), FrameKind::kRam));
  kinds = memory.kinds(absent);
  ASSERT_TRUE(kinds);
  EXPECT_EQ(*kinds, std::vector<FrameKind>(absent.frames(), FrameKind::kAbsent));

  // Added memory counts, is there, and goes away again; removing half of it twice is no error.
  auto before = memory.total_frames();
  ASSERT_TRUE(before);
  FrameSet scattered;
  for (std::uint64_t i = 0; i < absent.frames(); i += 2)
    scattered.insert({Gfn{absent.begin.value + i}, Gfn{absent.begin.value + i + 1}});
  auto added = memory.populate(scattered);
  ASSERT_TRUE(added) << added.error().what();
  EXPECT_EQ(memory.total_frames().value(), *before + scattered.frames());
  auto there = frames_of_kind(memory, absent, FrameKind::kRam);
  ASSERT_TRUE(there) << there.error().what();
  EXPECT_EQ(*there, scattered);
  ASSERT_TRUE(memory.remove(absent));
  added = memory.populate({absent});
  ASSERT_TRUE(added) << added.error().what();
  EXPECT_EQ(memory.total_frames().value(), *before + absent.frames());
  const FrameRange half{absent.begin, Gfn{absent.begin.value + absent.frames() / 2 + 1}};
  ASSERT_TRUE(memory.remove(half));
  EXPECT_EQ(memory.total_frames().value(), *before + absent.frames() - half.frames());
  ASSERT_TRUE(memory.remove(absent));
  EXPECT_EQ(memory.total_frames().value(), *before);

  check_removed_memory_is_clear(memory, absent);
  check_replaced_memory(memory, present.begin, absent.begin);
}

}  // namespace hadump
