// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/capture/capture_mode.h"

namespace hadump {

/// The mode "copy": the domain's memory is written to a file as a dump, filtered by the guest's own
/// struct pages, while the domain stays as it crashed. Nothing in the domain changes.
///
/// What outlives it when it is interrupted: the partial dump and its journal, which another run
/// with the same record continues.
///
/// @return kBusy when the domain runs; kIncomplete when frames could not be read that should be
///         there: the dump is whole but for these, and the domain must be kept. kCancelled; the
///         errors of look_at_domain() and save_dump().
Result<> copy_domain(const CaptureWorld& world, CaptureRecord& record);

}  // namespace hadump
