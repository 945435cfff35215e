// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Goes through a directory, in no order; "." and ".." are left out. For an unreadable sector
/// std::filesystem's iterator throws where it goes on to the next entry, whoever has opened it with
/// an error code.
/// @param look  may remove the entry. @return the errors of opening and reading it; what was looked
///              at until then, was.
Result<> for_each_entry(const std::string& directory,
                        const std::function<void(const std::filesystem::directory_entry&)>& look);

}  // namespace hadump
