// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "hv/domain/domain.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Entries that belong to the toolstack: console, xenstore and spare ones, which stay as they are
/// (xen/include/public/grant_table.h, GNTTAB_NR_RESERVED_ENTRIES).
inline constexpr std::size_t kReservedGrants = 8;

/// Withdraws every other grant of a table that Xen may use at the same moment: nobody can map it
/// anew from then on. @return what is mapped, added up by domain. The same again when it is
/// repeated, until the other domain lets go.
std::vector<HeldGrants> withdraw(std::span<grant_entry_v1_t> entries);
/// The same for the second version of the table, but nothing when it is repeated: without the grant
/// nobody can tell whose it was. @param status  one for each entry.
std::vector<HeldGrants> withdraw(std::span<grant_entry_v2_t> entries,
                                 std::span<const grant_status_t> status);

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

/// The same for a domain's table. @return kOs when Xen does not let us have it.
Result<std::vector<HeldGrants>> withdraw_grants(const XenHandles& handles, unsigned domid);

}  // namespace hadump
