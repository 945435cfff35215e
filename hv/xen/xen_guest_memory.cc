// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_guest_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "hv/xen/frame_calls.h"

namespace hadump {
namespace {

constexpr unsigned kLargeOrder = 9;
constexpr std::uint64_t kLargeFrames = 1U << kLargeOrder;
constexpr std::uint64_t kKindsPerCall = 1024;  // Xen's own limit per hypercall (GPF2_BATCH)
constexpr std::size_t kExtentsPerCall = 512;
constexpr std::size_t kFramesPerMap = 4096;

std::vector<xen_pfn_t> frame_numbers(FrameRange range) {
  std::vector<xen_pfn_t> numbers(range.frames());
  std::iota(numbers.begin(), numbers.end(), range.begin.value);
  return numbers;
}

// Extents of one size for one hypercall: large ones where alignment allows, else single frames.
struct Extents {
  unsigned order;
  std::vector<xen_pfn_t> starts;
};

std::vector<Extents> cut_into_extents(const FrameSet& frames) {
  std::vector<Extents> runs;
  for (FrameRange range : frames.ranges())
    for (std::uint64_t at = range.begin.value; at < range.end.value;) {
      const bool large = is_aligned(at, kLargeFrames) && range.end.value - at >= kLargeFrames;
      const unsigned order = large ? kLargeOrder : 0;
      if (runs.empty() || runs.back().order != order ||
          runs.back().starts.size() == kExtentsPerCall)
        runs.push_back({order, {}});
      runs.back().starts.push_back(at);
      at += std::uint64_t{1} << order;
    }
  return runs;
}

}  // namespace

Result<FrameMapping> XenGuestMemory::map(FrameRange range, Access access) const {
  const int protection = access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  return map_frames(handles_, domid_, range, frame_numbers(range), protection);
}

// One call for many frames: a call costs more than a frame.
Result<std::vector<FrameMapping>> XenGuestMemory::map_all(const FrameSet& frames,
                                                          Access access) const {
  const int protection = access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  std::vector<FrameMapping> all;
  std::vector<FrameRange> ranges;
  std::vector<xen_pfn_t> numbers;
  const auto map_now = [&]() -> Result<> {
    if (numbers.empty()) return {};
    auto done = map_frames_apart(handles_, domid_, ranges, numbers, protection, all);
    ranges.clear();
    numbers.clear();
    return done;
  };
  for (FrameRange range : frames.ranges())
    for (Gfn at = range.begin; at < range.end;) {
      const std::uint64_t room = kFramesPerMap - numbers.size();
      const FrameRange piece{at, Gfn{std::min(at.value + room, range.end.value)}};
      ranges.push_back(piece);
      for (Gfn gfn = piece.begin; gfn < piece.end; ++gfn.value) numbers.push_back(gfn.value);
      at = piece.end;
      if (numbers.size() < kFramesPerMap) continue;
      if (auto done = map_now(); !done) return fail(std::move(done));
    }
  if (auto done = map_now(); !done) return fail(std::move(done));
  return all;
}

Result<std::vector<FrameKind>> XenGuestMemory::kinds(FrameRange range) const {
  std::vector<FrameKind> kinds;
  kinds.reserve(range.frames());
  for (Gfn begin = range.begin; begin < range.end;) {
    const Gfn end{std::min(begin.value + kKindsPerCall, range.end.value)};
    std::vector<xen_pfn_t> numbers = frame_numbers({begin, end});
    if (xc_get_pfn_type_batch(handles_.control.get(), domid_, static_cast<unsigned>(numbers.size()),
                              numbers.data()) != 0)
      return fail_os(errno, "asking Xen for the kinds of frames");
    for (xen_pfn_t answer : numbers) kinds.push_back(frame_kind(answer));
    begin = end;
  }
  return kinds;
}

Result<std::uint64_t> XenGuestMemory::total_frames() const {
  return hadump::total_frames(handles_, domid_);
}

// Host memory may be free in pieces only: single frames are slower, but will do.
Result<> XenGuestMemory::populate_in_pieces(std::span<const xen_pfn_t> large_extents) {
  for (xen_pfn_t start : large_extents) {
    const FrameRange extent{Gfn{start}, Gfn{start + kLargeFrames}};
    if (auto done = remove(extent); !done) return done;  // some may be there already
    std::vector<xen_pfn_t> single = frame_numbers(extent);
    if (xc_domain_populate_physmap_exact(handles_.control.get(), domid_, single.size(), 0, 0,
                                         single.data()) != 0)
      return fail_os(errno, "adding memory to the domain");
  }
  return {};
}

Result<std::uint64_t> XenGuestMemory::host_free_bytes() const {
  xc_physinfo_t host{};
  if (xc_physinfo(handles_.control.get(), &host) != 0)
    return fail_os(errno, "asking Xen about the host");
  return host.free_pages << kFrameShift;
}

Result<> XenGuestMemory::add_frames(const FrameSet& frames) {
  for (Extents& run : cut_into_extents(frames)) {
    if (xc_domain_populate_physmap_exact(handles_.control.get(), domid_, run.starts.size(),
                                         run.order, 0, run.starts.data()) == 0)
      continue;
    Result<> done = fail_os(errno, "adding memory to the domain");
    if (run.order != 0) done = populate_in_pieces(run.starts);
    if (done) continue;
    // The error of populating is the one to tell.
    for (FrameRange range : frames.ranges()) static_cast<void>(remove(range));
    return done;
  }
  return {};
}

Result<> XenGuestMemory::take_away(const FrameSet& frames) {
  for (Extents& run : cut_into_extents(frames))
    if (xc_domain_decrease_reservation_exact(handles_.control.get(), domid_, run.starts.size(),
                                             run.order, run.starts.data()) != 0)
      return fail_os(errno, "taking memory out of the domain");
  return {};
}

Result<> XenGuestMemory::move_frame(Gfn from, Gfn to) {
  if (xc_domain_add_to_physmap(handles_.control.get(), domid_, XENMAPSPACE_gmfn, from.value,
                               to.value) != 0)
    return fail_os(errno, fmt::format("moving guest frame {:#x} to {:#x}", from.value, to.value));
  return {};
}

Result<> XenGuestMemory::set_limit_kib(std::uint64_t kib) {
  if (xc_domain_setmaxmem(handles_.control.get(), domid_, kib) != 0)
    return fail_os(errno, fmt::format("setting the domain's limit to {} KiB", kib));
  return {};
}

}  // namespace hadump
