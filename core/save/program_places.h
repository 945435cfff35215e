// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/save/lasting.h"

namespace hadump {

/// The absolute paths in a program's arguments that it may write to, whatever it does with them:
/// "/a", "of=/a", "--output=/a", "cat >/a". Those below /proc and /sys are what it reads, devices
/// keep nothing, and names of other systems (HOST:/a) are not of this one.
/// @param words  the program's path and its arguments.
std::vector<std::string> places_in(const std::vector<std::string>& words);

/// Whether files there are still there after the next boot: of a place that does not exist yet, the
/// last directory on the way to it decides. @return as check_lasting().
Result<> check_lasting_place(const std::string& place, const FileSystems& systems);

}  // namespace hadump
