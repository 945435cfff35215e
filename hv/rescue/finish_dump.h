// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"
#include "hv/domain/domain.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/record_store.h"
#include "hv/rescue/registration.h"

namespace hadump {

/// Notices that an agent before us has started the domain, and died before it could write that
/// down: what stops it from then on, is a crash in the dump that waits.
/// @return whether `record`, which is to be saved then, has changed.
bool notice_start(DomainRecord& record, const DomainStatus& status, std::uint64_t now_ms);

/// Whether a running guest is done with the dump that `record` says waits in it. In registered mode
/// it says "done" for a second only and then registers again; that counts when the mark of the
/// snapshot is gone, since a module that has not found its dump registers, too.
bool dump_is_over(const GuestMemory& memory, const DomainRecord& record,
                  const GuestProgress& progress);

/// Takes added memory out of the domain and gives the guest its balloon target back: for when the
/// guest says that its dump is done. Can be repeated.
/// @return how many KiB the domain still has beyond its limit: none, unless the guest has moved
///         memory that was added for the dump to another place. It is worth a line in the log.
Result<std::uint64_t> finish_dump(Domain& domain, GuestMemory& memory, GuestStore& store,
                                  RecordStore& records, DomainRecord& record, std::uint64_t now_ms);

/// The line for the log when finish_dump() says that there is something.
std::string memory_kept_text(std::uint64_t kib);

}  // namespace hadump
