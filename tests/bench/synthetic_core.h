// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// What the struct pages of a made-up machine say.
enum class SyntheticMix {
  kBusy,     ///< Short runs of everything; a third of it is the kernel's.
  kLeftOut,  ///< The same runs, but hardly any of it is kept at level 31.
  kIdle,     ///< Nearly all of it is free, in blocks of 4 MiB.
};

/// Makes a sparse ELF core of a machine of any size: page tables, section tables and generated
/// struct pages, all other memory a hole. The struct pages are 256 blocks of 2 MiB, used in turn,
/// so that more memory is read than most caches hold.
///
/// @return the frames that a dump of level 31 keeps.
Result<std::uint64_t> make_synthetic_core(const std::string& path, std::uint64_t gibibytes,
                                          SyntheticMix mix);

}  // namespace hadump
