// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/frame_set.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// The most records of a survey: as many pieces of memory as an ELF core can list, and as many
/// holes between them.
inline constexpr std::size_t kMaxSurveyRecords = 2 * std::size_t{65534};

/// What is behind every frame of the guest's RAM layout. Sets are disjoint.
struct FrameSurvey {
  FrameSet ram;
  FrameSet absent;
  FrameSet broken;
  FrameSet special;        ///< the hypervisor's own pages, where it was looked
  bool full_scan = false;  ///< false: the held part was inferred from the domain's frame count

  /// What the dump contains: memory, and special pages, since their content can be copied.
  FrameSet dumped() const;
  /// The HPTE section.
  std::vector<hadump_hpte> records() const;
};

/// Looks at the frames of `near` one by one. At the rest of RAM only when the domain's number of
/// frames says that something is missing, so that the time does not grow with the guest.
/// The guest decides in how many pieces its memory is: neither memory nor time grow beyond what a
/// dump could list.
/// @param near    a part of `ram`: where it matters which pages are the hypervisor's.
/// @param others  frames outside RAM that libxl gives a guest (ACPI tables, special pages).
/// @return kUnsupported when the memory is in more pieces than a dump can list; the errors of
///         GuestMemory.
Result<FrameSurvey> survey_frames(const GuestMemory& memory, const FrameSet& ram,
                                  const FrameSet& near, const FrameSet& others);

/// Reads HPTE records back. kBadData when they break a rule of the format.
Result<FrameSurvey> survey_from_records(std::span<const hadump_hpte> records);

}  // namespace hadump
