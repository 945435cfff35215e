// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/base/error.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/domain_vmcore.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/record.h"

namespace hadump {

/// The dump that waits in a domain, as the host can read it: what is still held, where it is; the
/// boot regions in the save area's copy; and what the guest has taken back, as absent. The guest
/// that has run since can have damaged the copy: that is said in what the memory lacks.
/// @param record  of the domain. @pre the domain does not run.
/// @return kNotFound when the dump is over; kBadData when what is there is not the dump that was
///         saved; the errors of GuestMemory.
Result<WaitingMemory> look_at_waiting_memory(const GuestMemory& memory, const DomainConfig& config,
                                             const DomainRecord& record);

}  // namespace hadump
