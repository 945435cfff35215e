// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace hadump {

/// Moves hadumpd's streams into the domains that send them.
void attach_streams(nlohmann::ordered_json& answer);
/// The table of `hadump list`, behind the one of domains; empty when nothing is being sent.
std::string streams_table(const nlohmann::ordered_json& domains, std::uint64_t now_ms);
/// A domain's lines in `hadump status`.
std::string streams_text(const nlohmann::ordered_json& domain);

}  // namespace hadump
