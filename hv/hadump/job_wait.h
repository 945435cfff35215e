// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"
#include "hv/hadump/command.h"

namespace hadump {

/// Waits until a job of hadumpd's is over. @return kOs with the job's error; kBusy when it has not
/// ended in time; the errors of asking.
Result<> wait_for_job(std::uint64_t number, unsigned seconds, const std::string& socket,
                      CommandWorld& world);

}  // namespace hadump
