// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/frame_calls.h"

#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <vector>

namespace hadump {

Result<FrameMapping> map_frames(const XenHandles& handles, unsigned domid, FrameRange range,
                                std::span<const xen_pfn_t> numbers, int protection) {
  std::vector<int> errors(numbers.size());
  void* data = xenforeignmemory_map(handles.foreign.get(), domid, protection, numbers.size(),
                                    numbers.data(), errors.data());
  if (data == nullptr)
    return fail_os(errno, fmt::format("mapping guest frames [{:#x}, {:#x})", range.begin.value,
                                      range.end.value));
  std::vector<bool> present(numbers.size());
  for (std::size_t i = 0; i < errors.size(); ++i) present[i] = errors[i] == 0;
  const std::span bytes(static_cast<std::byte*>(data), numbers.size() * kFrameSize);
  return FrameMapping(range.begin, bytes, std::move(present),
                      [foreign = handles.foreign.get()](std::span<std::byte> mapped) {
                        // A failure leaves it mapped until we exit; nothing to do.
                        static_cast<void>(xenforeignmemory_unmap(foreign, mapped.data(),
                                                                 mapped.size() / kFrameSize));
                      });
}

Result<> map_frames_apart(const XenHandles& handles, unsigned domid,
                          std::span<const FrameRange> ranges, std::span<const xen_pfn_t> numbers,
                          int protection, std::vector<FrameMapping>& out) {
  const FrameRange all{Gfn{0}, Gfn{numbers.size()}};
  auto mapped = map_frames(handles, domid, all, numbers, protection);
  if (!mapped) return fail(std::move(mapped));
  const auto whole = std::make_shared<FrameMapping>(std::move(*mapped));
  std::size_t at = 0;
  for (FrameRange range : ranges) {
    std::vector<bool> present(range.frames());
    for (std::size_t i = 0; i < present.size(); ++i) present[i] = whole->present(at + i);
    out.emplace_back(range.begin, whole->bytes().subspan(at * kFrameSize, range.bytes()),
                     std::move(present), [whole](std::span<std::byte>) {});
    at += range.frames();
  }
  return {};
}

FrameKind frame_kind(xen_pfn_t answer) {
  switch (answer & XEN_DOMCTL_PFINFO_LTAB_MASK) {
    case XEN_DOMCTL_PFINFO_XTAB:
    case XEN_DOMCTL_PFINFO_XALLOC:
      return FrameKind::kAbsent;
    case XEN_DOMCTL_PFINFO_BROKEN:
      return FrameKind::kBroken;
    default:
      return FrameKind::kRam;
  }
}

Result<std::uint64_t> total_frames(const XenHandles& handles, unsigned domid) {
  xc_dominfo_t info;
  if (xc_domain_getinfo(handles.control.get(), domid, 1, &info) != 1 || info.domid != domid)
    return fail_os(errno == 0 ? ESRCH : errno, "asking Xen about the domain");
  return info.nr_pages;
}

}  // namespace hadump
