// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/guest_kinds.h"

#include <algorithm>

#include "hv/domain/hvm_guest.h"
#include "hv/domain/pv_guest.h"
#include "hv/domain/pvh_guest.h"

namespace hadump {
namespace {

constexpr const GuestKind* kKinds[] = {&kPvhGuest, &kHvmGuest, &kPvGuest};

}  // namespace

const GuestKind* find_guest_kind(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                         [&](const GuestKind* kind) { return kind->name == name; });
  return found == std::end(kKinds) ? nullptr : *found;
}

}  // namespace hadump
