// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/kept_memory.h"

namespace hadump {
namespace {

// libxl's LIBXL_MAXMEM_CONSTANT: what "xl mem-set" and "xl mem-max" add to the size that they are
// given when they set the limit.
constexpr std::uint64_t kLibxlMarginKib = 1024;

}  // namespace

bool note_memory_wish(DomainRecord& record, std::uint64_t full_kib, std::uint64_t limit_kib,
                      std::uint64_t target_kib) {
  const bool limit_is_low =
      limit_kib != 0 && record.raised_limit_kib != 0 && limit_kib < record.raised_limit_kib;
  const bool target_is_low = target_kib != 0 && target_kib < full_kib;
  if (limit_is_low) record.old_limit_kib = limit_kib;
  if (target_is_low) {
    record.old_target_kib = target_kib;
    record.raised_target_kib = full_kib;
  } else if (limit_is_low && target_kib == full_kib && limit_kib >= full_kib &&
             limit_kib <= full_kib + kLibxlMarginKib) {
    // The full size was asked for again.
    record.old_target_kib = record.raised_target_kib = 0;
  }
  return limit_is_low || target_is_low;
}

Result<> restore_memory(GuestMemory& memory, GuestStore& store, RecordStore& records,
                        const DomainRecord& record) {
  if (auto done = records.save(record); !done) return done;
  // The limit first: the guest takes back what it has given away as soon as the target says so.
  if (record.raised_limit_kib != 0)
    if (auto done = memory.set_limit_kib(record.raised_limit_kib); !done) return done;
  if (record.raised_target_kib == 0) return {};
  return store.set_balloon_target_kib(record.raised_target_kib);
}

}  // namespace hadump
