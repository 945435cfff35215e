// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/base/error.h"
#include "hv/hadumpd/options.h"

namespace hadump {

/// Opens what is needed, then watches until a signal ends it (or, with --once, handles one crash).
/// @return kOs and others when it cannot go on.
Result<> run_daemon(const DaemonOptions& options, const PolicyTable& policies);

}  // namespace hadump
