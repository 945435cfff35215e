// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/hadumpd/caretaker.h"

namespace hadump {

/// One line of JSON: {"domains": [...]}. docs/man/hadump.8.md has the keys.
std::string to_json(const std::vector<DomainView>& views);

}  // namespace hadump
