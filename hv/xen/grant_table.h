// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "hv/domain/domain.h"
#include "hv/xen/handles.h"

namespace hadump {

/// The frames of the toolstack's rings, by the number of the entry that grants them: the console's
/// and xenstore's (xen/include/public/grant_table.h, GNTTAB_RESERVED_CONSOLE and _XENSTORE). An
/// entry that grants just its ring stays as it is. Nobody seeds the other six that are reserved, so
/// what is in them is the guest's.
using RingFrames = std::array<std::uint64_t, 2>;

/// What one entry says that is in use. The guest has written all of it, or could have.
struct HeldFrame {
  unsigned domid = 0;
  std::uint64_t frame = 0;
  bool writable = false;
  bool operator==(const HeldFrame&) const = default;
};

/// Withdraws every other grant of a table that Xen may use at the same moment: nobody can map it
/// anew from then on. @return what is mapped, in the table's order; the same again when it is
/// repeated, until the other domain lets go: an entry keeps the flags by which Xen says so.
std::vector<HeldFrame> withdraw(std::span<grant_entry_v1_t> entries, const RingFrames& rings);
/// The same for the second version of the table. Xen says in `status` what is in use, whatever the
/// entry's type: Linux clears that before it looks (gnttab_end_foreign_access_ref_v2()), and so did
/// an agent before us. The entry's domain and frame stay.
/// @param status  one for each entry.
std::vector<HeldFrame> withdraw(std::span<grant_entry_v2_t> entries,
                                std::span<const grant_status_t> status, const RingFrames& rings);

/// Adds up by domain, those with the smallest number first. A number that no domain has is a
/// guest's invention. @param domids  of the domains that there are, ascending.
/// @param steps  for tests: how often two were compared, or one was moved.
std::vector<HeldGrants> held_by_domain(std::vector<HeldFrame> held,
                                       std::span<const unsigned> domids,
                                       std::uint64_t* steps = nullptr);

/// The frames that a table lets others write to, those of the toolstack included. Changes nothing.
FrameSet writable_grants(std::span<const grant_entry_v1_t> entries);
/// The same for the second version. @param status  one for each entry.
FrameSet writable_grants(std::span<const grant_entry_v2_t> entries,
                         std::span<const grant_status_t> status);

/// A domain's table, to be looked at again and again.
class GrantTable {
 public:
  /// @param handles  borrowed. @return kOs when Xen does not let us have it.
  static Result<GrantTable> open(const XenHandles& handles, unsigned domid);
  GrantTable(GrantTable&&) noexcept;
  GrantTable& operator=(GrantTable&&) noexcept;
  ~GrantTable();

  /// As it is now; the table may have grown. @return as open().
  Result<FrameSet> writable();

 private:
  struct Mapped;
  GrantTable(const XenHandles& handles, unsigned domid);
  Result<> map_again();

  const XenHandles* handles_;
  unsigned domid_;
  std::unique_ptr<Mapped> mapped_;
};

/// Withdraws a domain's grants. @return what others have mapped; kOs when Xen does not let us have
/// the table, or does not list its domains.
Result<std::vector<HeldGrants>> withdraw_grants(const XenHandles& handles, unsigned domid);

}  // namespace hadump
