// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "core/save/save.h"
#include "core/save/save_lock.h"

namespace hadump {

/// Takes the lock of the waiting dump.
/// @param to    where the save goes, for those who come later.
/// @param wait  for another save's end.
/// @return nothing where there is no need for one, or it cannot be had: a machine whose disk is
///         read-only is to be saved, too. kLocked when another process has it.
tl::expected<std::optional<SaveLock>, SaveFailure> lock_dump(const SaveSeams& seams,
                                                             const std::string& to, bool wait,
                                                             SaveReporter& reporter);

}  // namespace hadump
