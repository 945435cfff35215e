// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/directory_entries.h"

#include <system_error>

namespace hadump {

Result<> for_each_entry(const std::string& directory,
                        const std::function<void(const std::filesystem::directory_entry&)>& look) {
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  for (const std::filesystem::directory_iterator end; !error && at != end; at.increment(error))
    look(*at);
  if (error) return fail_os(error.value(), "reading " + directory);
  return {};
}

}  // namespace hadump
