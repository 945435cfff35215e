#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

namespace hadump {

/// The table of `hadump list`. @param domains  the array of hadumpd's answer.
std::string list_text(const nlohmann::ordered_json& domains, std::uint64_t now_ms);
/// The paragraph of `hadump status` about one domain.
std::string status_text(const nlohmann::ordered_json& domain, std::uint64_t now_ms);
/// Whether `wanted` names this domain: its name, UUID or number.
bool is_domain(const nlohmann::ordered_json& domain, const std::string& wanted);

}  // namespace hadump
