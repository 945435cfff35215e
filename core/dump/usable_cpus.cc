// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace hadump {
namespace {

constexpr std::size_t kMostCpus = 1U << 17;

}  // namespace

/// A cpu_set_t has room for 1024; the kernel says EINVAL when it knows of more.
unsigned usable_cpus() {
  for (std::size_t room = CPU_SETSIZE; room <= kMostCpus; room *= 2) {
    cpu_set_t* const set = CPU_ALLOC(room);
    if (set == nullptr) return 1;
    const std::size_t size = CPU_ALLOC_SIZE(room);
    CPU_ZERO_S(size, set);
    const bool got = ::sched_getaffinity(0, size, set) == 0;
    const bool too_small = !got && errno == EINVAL;
    const int cpus = got ? CPU_COUNT_S(size, set) : 1;
    CPU_FREE(set);
    if (!too_small) return static_cast<unsigned>(std::max(cpus, 1));
  }
  return 1;
}

}  // namespace hadump
