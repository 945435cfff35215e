// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/error.h"
#include "core/vmcore/source.h"
#include "hv/domain/domain.h"
#include "hv/domain/frame_survey.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// Frames whose content is elsewhere in the domain: a copy was made before they were used anew.
struct MovedFrames {
  FrameRange from;
  Gfn to;  ///< the first of as many
  bool operator==(const MovedFrames&) const = default;
};

/// What a dump of a domain says besides the content of its memory.
struct DomainFacts {
  FrameSurvey survey;
  std::vector<hadump_vcpu> vcpus;
  std::vector<std::byte> vmcoreinfo_note;  ///< empty: none was found
  GuestVirt page_offset;                   ///< 0: not known
  std::vector<MovedFrames> moved;          ///< ascending and disjoint
};

/// The memory of a kernel whose domain has been booted again since.
struct WaitingMemory {
  DomainFacts facts;
  /// What is not there any more, or not as it was, and why.
  std::vector<std::pair<std::string, std::string>> lacks;
};

/// Finds all of it by looking at the domain. @pre paused, or it changes meanwhile.
/// @param ram     the guest's RAM layout. @param near, others  as survey_frames().
/// @return the errors of Domain, GuestMemory and survey_frames().
Result<DomainFacts> look_at_domain(const Domain& domain, const GuestMemory& memory,
                                   const FrameSet& ram, const FrameSet& near,
                                   const FrameSet& others);

/// Finds what the guest's kernel has left in `memory`: VMCOREINFO, and where it maps its memory.
/// @param facts  survey and vCPUs are known; the rest is filled in. @return as GuestMemory.
Result<> find_kernel_facts(const GuestMemory& memory, DomainFacts& facts);

/// A domain's memory as a dump, to be written by core/dump or saved by core/save. Frames that the
/// hardware has reported as bad, and those that have gone since the survey, are read as kFailed.
/// `memory` is borrowed.
class DomainVmcore : public VmcoreSource {
 public:
  DomainVmcore(const GuestMemory& memory, const DomainFacts& facts);

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override;
  /// The hypervisor maps the frames in either case; reading copies them besides.
  bool prefers_mapping() const override { return true; }

 private:
  /// A run of frames, and where its content begins.
  struct Place {
    FrameRange range;
    Gfn at;
  };
  Place place_of(FrameRange range) const;
  Result<> read_place(const Place& place, std::span<std::byte> out,
                      std::span<FrameStatus> status) const;
  FrameStatus status_of(Gfn gfn, bool present) const;

  const GuestMemory& memory_;
  FrameSet readable_;
  std::vector<MovedFrames> moved_;
  VmcoreLayout layout_;
};

}  // namespace hadump
