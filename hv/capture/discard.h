// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/base/error.h"
#include "hv/capture/capture_record.h"

namespace hadump {

/// Deletes the files of a capture that has ended: its dump, whole or incomplete, with its journal,
/// log and metadata, and the directory that was made for them when nothing else is in it. Nothing
/// is deleted that is not this very capture's by its metadata, nor by a way that others can change:
/// a dump that a later attempt at the same crash has taken over is left to that one.
/// Can be repeated; files that are gone are no error.
/// @return kBusy when somebody reads the dump (`hadump mount` holds a shared flock(2) of it);
///         kBadData when the metadata are not this capture's, or gone while its dump is there.
Result<> discard_files(const CaptureRecord& record);

}  // namespace hadump
