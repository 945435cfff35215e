// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/window_parameters.h"

namespace hadump {

const WindowParameter* find_window_parameter(std::string_view name, std::string_view value) {
  for (const WindowParameter& one : kWindowParameters)
    if (one.name == name && value.starts_with(one.value)) return &one;
  return nullptr;
}

}  // namespace hadump
