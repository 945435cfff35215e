// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_pv_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hv/domain/pv_page_table.h"
#include "hv/xen/frame_calls.h"

namespace hadump {
namespace {

constexpr xen_pfn_t kNoFrame = ~xen_pfn_t{0};

tl::unexpected<Error> only_for_reading() {
  return fail(ErrorCode::kUnsupported, "a PV guest's memory cannot be changed from here");
}

std::span<std::uint64_t> entries_of(std::span<std::byte, kFrameSize> frame) {
  return {reinterpret_cast<std::uint64_t*>(frame.data()), kFrameSize / sizeof(std::uint64_t)};
}

// Memory of our own with the same content, and with guest frames in the page tables. What is
// mapped is read once: nobody changes the entries between a look at them and their use.
Result<FrameMapping> with_guest_frames(const FrameMapping& mapping, const PvFrames& frames) {
  const std::span<std::byte> from = mapping.bytes();
  void* data =
      ::mmap(nullptr, from.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return fail_os(errno, "memory for a copy of page tables");
  const std::span<std::byte> to(static_cast<std::byte*>(data), from.size());
  std::vector<bool> present;
  for (std::size_t i = 0; i < mapping.range().frames(); ++i) present.push_back(mapping.present(i));
  FrameMapping copy(mapping.range().begin, to, std::move(present), [](std::span<std::byte> bytes) {
    static_cast<void>(::munmap(bytes.data(), bytes.size()));
  });
  const auto guest_frame = [&](std::uint64_t mfn) { return frames.guest_frame(mfn); };
  for (std::size_t i = 0; i < mapping.range().frames(); ++i) {
    if (!copy.present(i)) continue;
    std::memcpy(copy.frame(i).data(), mapping.frame(i).data(), kFrameSize);
    const unsigned level = frames.table_level(Gfn{mapping.range().begin.value + i});
    if (level != 0) to_guest_frames(entries_of(copy.frame(i)), level, guest_frame);
  }
  return copy;
}

}  // namespace

Result<const PvFrames*> XenPvMemory::frames() const {
  std::call_once(opened_, [this] { frames_ = PvFrames::open(handles_.control.get(), domid_); });
  if (!frames_) return tl::unexpected(frames_.error());
  return frames_->get();
}

Result<FrameMapping> XenPvMemory::map(FrameRange range, Access access) const {
  if (access != Access::kRead) return only_for_reading();
  auto frames = this->frames();
  if (!frames) return fail(std::move(frames));
  std::vector<xen_pfn_t> numbers;
  numbers.reserve(range.frames());
  bool has_tables = false;
  for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
    const bool known = gfn.value < (*frames)->end();
    numbers.push_back(known ? (*frames)->machine_frame(gfn) : kNoFrame);
    has_tables = has_tables || (known && (*frames)->table_level(gfn) != 0);
  }
  auto mapping = map_frames(handles_, domid_, range, numbers, PROT_READ);
  if (!mapping || !has_tables) return mapping;
  return with_guest_frames(*mapping, **frames);
}

Result<std::vector<FrameKind>> XenPvMemory::kinds(FrameRange range) const {
  auto frames = this->frames();
  if (!frames) return fail(std::move(frames));
  std::vector<FrameKind> kinds;
  kinds.reserve(range.frames());
  for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
    kinds.push_back(gfn.value < (*frames)->end() ? frame_kind((*frames)->type(gfn))
                                                 : FrameKind::kAbsent);
  return kinds;
}

Result<std::uint64_t> XenPvMemory::total_frames() const {
  return hadump::total_frames(handles_, domid_);
}

Result<> XenPvMemory::set_limit_kib(std::uint64_t /*kib*/) {
  return only_for_reading();
}

Result<std::uint64_t> XenPvMemory::host_free_bytes() const {
  return only_for_reading();
}

Result<> XenPvMemory::add_frames(const FrameSet& /*frames*/) {
  return only_for_reading();
}

Result<> XenPvMemory::take_away(const FrameSet& /*frames*/) {
  return only_for_reading();
}

Result<> XenPvMemory::move_frame(Gfn /*from*/, Gfn /*to*/) {
  return only_for_reading();
}

}  // namespace hadump
