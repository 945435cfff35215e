// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/base/units.h"
#include "hv/xen/handles.h"

namespace hadump {

/// The most frames that a PV guest may number: the p2m and what Xen says of each frame are in our
/// memory, 16 bytes a frame.
inline constexpr std::uint64_t kMaxPvFrames = std::uint64_t{512} * (1_GiB >> kFrameShift);

/// The frames of a PV guest as it had numbered them when it was opened: its p2m, and what Xen says
/// of each machine frame. Immutable, so that threads may share it.
class PvFrames {
 public:
  /// @param control  must outlive the frames. @pre the domain has shut down or is paused: its p2m
  /// is
  ///                 in its own memory. @return kUnsupported for a guest that is not 64-bit, or
  ///                 whose numbers are beyond its memory or kMaxPvFrames; kBadData when it has no
  ///                 p2m that libxenguest can follow; kOs.
  static Result<std::unique_ptr<PvFrames>> open(xc_interface* control, unsigned domid);
  PvFrames(const PvFrames&) = delete;
  PvFrames& operator=(const PvFrames&) = delete;
  ~PvFrames();

  /// One past the highest number.
  std::uint64_t end() const { return info_.p2m_size; }
  /// XEN_DOMCTL_PFINFO_*, as xc_get_pfn_type_batch() has it. @pre gfn < end().
  xen_pfn_t type(Gfn gfn) const { return info_.pfn_type[gfn.value]; }
  /// What the guest says; Xen checks that it is the guest's when it is mapped. @pre gfn < end().
  std::uint64_t machine_frame(Gfn gfn) const { return info_.p2m_table[gfn.value]; }
  /// 1 to 4 for a page table; 0 for any other frame.
  unsigned table_level(Gfn gfn) const;
  /// Nothing when it is not one of the guest's.
  std::optional<Gfn> guest_frame(std::uint64_t mfn) const;

 private:
  explicit PvFrames(xc_interface* control) : control_(control) {}
  Result<> map_machine_table();

  xc_interface* control_;
  xc_domain_meminfo info_{};
  xen_pfn_t* m2p_ = nullptr;  ///< the host's, for reading
  std::uint64_t m2p_frames_ = 0;
};

}  // namespace hadump
