// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/capture/capture_mode.h"

namespace hadump {

/// The mode "alias": the domain is put aside with its memory as it crashed, and a successor begins
/// at once under its name, with its disks and as much memory as the host has. Meanwhile the old
/// memory is written to a file, portion by portion; what is durable is cleared, goes back to the
/// host, and from there to the successor. When all is written the old domain is destroyed.
///
/// What outlives it when it is interrupted, besides what copy_domain() leaves: the record, which
/// says whether the domain is being put aside, and the facts (capture_facts.h). Another run with
/// the same record goes on from there.
///
/// @return kNoSpace when the host has no room for a successor; nothing was changed then, nor by any
///         other failure while the record is in state kExamining. Afterwards everything can be
///         repeated, and only kNotFound (the domain is gone), kBadData (damaged facts) and
///         kIncomplete are for good; the domain is kept then.
Result<> alias_domain(const CaptureWorld& world, CaptureRecord& record);

}  // namespace hadump
