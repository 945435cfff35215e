// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/hadumpd/domain_view.h"

namespace hadump {

/// One line of JSON: {"ok": true, "domains": [...]}. docs/man/hadump.8.md has the keys.
std::string to_json(const std::vector<DomainView>& views);

}  // namespace hadump
