// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "hv/domain/domain.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/record_store.h"

namespace hadump {

/// While a dump waits, the domain needs its memory limit (the save area counts against it) and a
/// balloon target of its full size: with a lower one the guest would give its window away. "xl
/// mem-set" and "xl mem-max" change both. What they ask for is remembered in the record, as what
/// finish_dump() is to set in the end.
/// @param full_kib  the domain's full size.
/// @param limit_kib, target_kib  as they are now; 0: not known.
/// @return whether restore_memory() has something to do; the record has changed then.
bool note_memory_wish(DomainRecord& record, std::uint64_t full_kib, std::uint64_t limit_kib,
                      std::uint64_t target_kib);

/// Writes the record down, then sets limit and target as the dump needs them.
Result<> restore_memory(GuestMemory& memory, GuestStore& store, RecordStore& records,
                        const DomainRecord& record);

}  // namespace hadump
