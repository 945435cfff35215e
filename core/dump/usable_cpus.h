// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace hadump {

/// CPUs that this process may use, at least 1.
unsigned usable_cpus();

}  // namespace hadump
