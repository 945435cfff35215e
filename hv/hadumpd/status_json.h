// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/hadumpd/capture_book.h"
#include "hv/hadumpd/domain_view.h"
#include "hv/hadumpd/stream_keeper.h"

namespace hadump {

/// One line of JSON: {"ok": true, "domains": [...], "captures": [...], "streams": [...]}.
/// docs/man/hadump.8.md has the keys.
std::string to_json(const std::vector<DomainView>& views, const std::vector<CaptureView>& captures,
                    const std::vector<StreamView>& streams);

}  // namespace hadump
