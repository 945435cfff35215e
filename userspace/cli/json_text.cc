// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/json_text.h"

namespace hadump {

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace hadump
