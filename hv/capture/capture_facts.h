// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/domain_vmcore.h"

namespace hadump {

/// What a capture that gives memory back must remember of the domain as it crashed: afterwards it
/// cannot be looked at again.
struct CaptureFacts {
  DomainFacts domain;
  std::string blueprint;  ///< DomainConfig::blueprint, for the successor
  /// Of a dump that waited: what was looked for and not found, and why.
  std::vector<std::pair<std::string, std::string>> unknown{};
};

/// "DIRECTORY/NAME.facts": JSON, trusted, 0600, durable when this returns Ok. docs/spec/capture.md.
Result<> save_facts(const std::string& directory, const std::string& name,
                    const CaptureFacts& facts);
/// @return kNotFound when there are none; kBadData when they are damaged, or others can change
///         them.
Result<CaptureFacts> load_facts(const std::string& directory, const std::string& name);
/// No error when there are none: what stays is of no use to anybody.
void forget_facts(const std::string& directory, const std::string& name);

/// The content of such a file. @return kBadData when it breaks a rule of the format.
std::string to_json(const CaptureFacts& facts);
Result<CaptureFacts> parse_facts(const std::string& json);

}  // namespace hadump
