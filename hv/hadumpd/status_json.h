// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/hadumpd/capture_book.h"
#include "hv/hadumpd/domain_view.h"

namespace hadump {

/// One line of JSON: {"ok": true, "domains": [...], "captures": [...]}. docs/man/hadump.8.md has
/// the keys.
std::string to_json(const std::vector<DomainView>& views, const std::vector<CaptureView>& captures);

}  // namespace hadump
