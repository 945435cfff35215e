// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/pv_frames.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "hv/domain/pv_guest.h"

namespace hadump {
namespace {

constexpr unsigned kLevels = 4;
constexpr unsigned kGuestWidth = 8;
// Xen maps its table in pieces of this size (xc_map_m2p()).
constexpr std::uint64_t kMachineTablePiece = 2_MiB;
constexpr std::uint64_t kFramesPerKib = 4;

}  // namespace

Result<std::unique_ptr<PvFrames>> PvFrames::open(xc_interface* control, unsigned domid) {
  xc_dominfo_t info;
  if (xc_domain_getinfo(control, domid, 1, &info) != 1 || info.domid != domid)
    return fail_os(errno == 0 ? ESRCH : errno, "asking Xen about the domain");
  // The guest says how many there are, in its shared info page; libxenguest believes it.
  xen_pfn_t last = 0;
  if (xc_domain_maximum_gpfn(control, domid, &last) < 0)
    return fail_os(errno, "asking for the guest's highest frame number");
  const std::uint64_t limit =
      std::min(info.max_memkb / kFramesPerKib + (kPvHoles >> kFrameShift), kMaxPvFrames);
  if (last >= limit)
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("the guest's p2m goes up to frame {:#x}, but for {} MiB it may go up to "
                    "{:#x}",
                    last, info.max_memkb >> 10, limit - 1));
  std::unique_ptr<PvFrames> frames(new PvFrames(control));
  if (xc_map_domain_meminfo(control, domid, &frames->info_) != 0)
    return fail(ErrorCode::kBadData, fmt::format("the guest's p2m cannot be read ({})",
                                                 Error::os(errno, "errno").what()));
  if (frames->info_.guest_width != kGuestWidth || frames->info_.pt_levels != kLevels)
    return fail(ErrorCode::kUnsupported, "a PV guest that is not 64-bit");
  if (auto done = frames->map_machine_table(); !done) return fail(std::move(done));
  return frames;
}

Result<> PvFrames::map_machine_table() {
  unsigned long end = 0;
  if (xc_maximum_ram_page(control_, &end) != 0)
    return fail_os(errno, "asking for the host's highest frame");
  m2p_ = xc_map_m2p(control_, end, PROT_READ, nullptr);
  if (m2p_ == nullptr) return fail_os(errno, "mapping Xen's table of machine frames");
  m2p_frames_ = end;
  return {};
}

PvFrames::~PvFrames() {
  static_cast<void>(xc_unmap_domain_meminfo(control_, &info_));
  if (m2p_ != nullptr)
    static_cast<void>(::munmap(m2p_, round_up(m2p_frames_ * sizeof(*m2p_), kMachineTablePiece)));
}

unsigned PvFrames::table_level(Gfn gfn) const {
  switch (type(gfn) & XEN_DOMCTL_PFINFO_LTABTYPE_MASK) {
    case XEN_DOMCTL_PFINFO_L1TAB:
      return 1;
    case XEN_DOMCTL_PFINFO_L2TAB:
      return 2;
    case XEN_DOMCTL_PFINFO_L3TAB:
      return 3;
    case XEN_DOMCTL_PFINFO_L4TAB:
      return 4;
    default:
      return 0;
  }
}

// The guest writes that table for its own frames: what it says must agree with the p2m.
std::optional<Gfn> PvFrames::guest_frame(std::uint64_t mfn) const {
  if (mfn >= m2p_frames_) return std::nullopt;
  const Gfn gfn{m2p_[mfn]};
  if (gfn.value >= end() || machine_frame(gfn) != mfn) return std::nullopt;
  return gfn;
}

}  // namespace hadump
