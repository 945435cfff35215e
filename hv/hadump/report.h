// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// The table of `hadump list`. @param domains  the array of hadumpd's answer.
std::string list_text(const nlohmann::ordered_json& domains, std::uint64_t now_ms);
/// The paragraph of `hadump status` about one domain.
std::string status_text(const nlohmann::ordered_json& domain, std::uint64_t now_ms);
/// Whether `wanted` names this domain: its name, UUID or number, or the name of a capture of it.
bool is_domain(const nlohmann::ordered_json& domain, const std::string& wanted);

/// Those of the domains in hadumpd's answer that `wanted` names; all of them when it is empty.
nlohmann::ordered_json choose(const nlohmann::ordered_json& answer, const std::string& wanted);

/// Moves hadumpd's captures into the domains that they are of. A domain that is gone gets an
/// element of the state "gone", without a number.
void attach_captures(nlohmann::ordered_json& answer);
/// One line for people: how far a capture is.
std::string capture_progress(const nlohmann::ordered_json& capture);
/// The paragraph of `hadump status` about one capture.
std::string capture_text(const nlohmann::ordered_json& capture);

/// The number of the one domain that was meant.
/// @param domains  those that `wanted` names.
/// @return kNotFound for none, kBadData, naming them all, for more than one: a domain may be called
///         what another has as its number.
Result<unsigned> domain_to_trigger(const nlohmann::ordered_json& domains,
                                   const std::string& wanted);

}  // namespace hadump
