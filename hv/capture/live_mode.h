// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/capture/capture_mode.h"

namespace hadump {

/// Whether a domain in this state can be captured while it runs.
/// @param kind  null when it is not known.
/// @return kBusy when it does not run, kUnsupported when Xen has no log of its writes.
Result<> check_live(const DomainStatus& status, const GuestKind* kind);

/// A running domain's memory as it was at one instant, by docs/spec/capture.md. A run goes as far
/// as the record's state says:
/// - kExamining: takes the instant into an image beside the target. Afterwards the record is in
///   state kWriting, and the domain is needed no more.
/// - kWriting: writes the dump from the image, or what is missing of it.
/// - kTracking, kStopping: an earlier run was interrupted and cannot be continued. Makes the domain
///   run on, removes the files, and returns kCancelled.
/// After any other error nothing is left of the image either, and nothing of the dump but what is
/// readable.
Result<> live_domain(const CaptureWorld& world, CaptureRecord& record);

}  // namespace hadump
