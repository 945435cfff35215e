// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/grant_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "core/base/units.h"

namespace hadump {
namespace {

// A part of a domain's grant table in our address space.
class TableMapping {
 public:
  static Result<TableMapping> open(const XenHandles& handles, unsigned domid, unsigned part,
                                   std::size_t frames) {
    TableMapping mapping;
    mapping.foreign_ = handles.foreign.get();
    mapping.bytes_ = frames * kFrameSize;
    mapping.handle_ = xenforeignmemory_map_resource(mapping.foreign_, static_cast<domid_t>(domid),
                                                    XENMEM_resource_grant_table, part, 0, frames,
                                                    &mapping.address_, PROT_READ | PROT_WRITE, 0);
    if (mapping.handle_ == nullptr) return fail_os(errno, "mapping its grant table");
    return mapping;
  }
  TableMapping(TableMapping&& other) noexcept { *this = std::move(other); }
  TableMapping& operator=(TableMapping&& other) noexcept {
    std::swap(foreign_, other.foreign_);
    std::swap(handle_, other.handle_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  TableMapping(const TableMapping&) = delete;
  TableMapping& operator=(const TableMapping&) = delete;
  ~TableMapping() {
    if (handle_ != nullptr) static_cast<void>(xenforeignmemory_unmap_resource(foreign_, handle_));
  }
  template <typename Entry>
  std::span<Entry> entries() const {
    return {static_cast<Entry*>(address_), bytes_ / sizeof(Entry)};
  }

 private:
  TableMapping() = default;
  xenforeignmemory_handle* foreign_ = nullptr;
  xenforeignmemory_resource_handle* handle_ = nullptr;
  void* address_ = nullptr;
  std::size_t bytes_ = 0;
};

// Beyond any guest's; the table is the guest's.
constexpr std::uint64_t kMaxFrame = std::uint64_t{1} << 40;
constexpr std::uint16_t kInUse = GTF_reading | GTF_writing;

// Leaves only those flags. Xen changes the flags of an entry that is being mapped in the same way.
std::uint16_t take_flags(std::uint16_t& flags, std::uint16_t but) {
  return std::atomic_ref<std::uint16_t>(flags).fetch_and(but);
}

void add(std::vector<HeldGrants>& held, unsigned domid, std::uint64_t frame, unsigned flags) {
  if ((flags & kInUse) == 0) return;
  auto found = std::find_if(held.begin(), held.end(),
                            [domid](const HeldGrants& one) { return one.domid == domid; });
  if (found == held.end())
    found = held.insert(held.end(), HeldGrants{.domid = domid, .frames = {}, .writable = {}});
  const FrameRange one{Gfn{frame}, Gfn{frame + 1}};
  found->frames.insert(one);
  if ((flags & GTF_writing) != 0) found->writable.insert(one);
}

}  // namespace

std::vector<HeldGrants> withdraw(std::span<grant_entry_v1_t> entries) {
  std::vector<HeldGrants> held;
  for (std::size_t i = kReservedGrants; i < entries.size(); ++i) {
    const grant_entry_v1_t entry = entries[i];
    add(held, entry.domid, entry.frame, take_flags(entries[i].flags, kInUse));
  }
  return held;
}

std::vector<HeldGrants> withdraw(std::span<grant_entry_v2_t> entries,
                                 std::span<const grant_status_t> status) {
  std::vector<HeldGrants> held;
  for (std::size_t i = kReservedGrants; i < entries.size(); ++i) {
    const grant_entry_v2_t entry = entries[i];
    const bool sub_page = (entry.hdr.flags & GTF_sub_page) != 0;
    const unsigned type = take_flags(entries[i].hdr.flags, 0) & GTF_type_mask;
    const std::uint64_t frame =
        std::min(sub_page ? entry.sub_page.frame : entry.full_page.frame, kMaxFrame);
    if (type != GTF_invalid && i < status.size()) add(held, entry.hdr.domid, frame, status[i]);
  }
  return held;
}

Result<std::vector<HeldGrants>> withdraw_grants(const XenHandles& handles, unsigned domid) {
  xc_interface* control = handles.control.get();
  const int version = xc_gnttab_get_version(control, domid);
  if (version < 0) return fail_os(errno, "asking for the version of its grant table");
  gnttab_query_size size{};
  size.dom = static_cast<domid_t>(domid);
  if (xc_gnttab_query_size(control, &size) != 0 || size.status != GNTST_okay)
    return fail_os(errno, "asking for the size of its grant table");
  if (size.nr_frames == 0) return std::vector<HeldGrants>();
  auto table =
      TableMapping::open(handles, domid, XENMEM_resource_grant_table_id_shared, size.nr_frames);
  if (!table) return fail(std::move(table));
  if (version == 1) return withdraw(table->entries<grant_entry_v1_t>());
  constexpr std::size_t kStatusInFrame = kFrameSize / sizeof(grant_status_t);
  const auto entries = table->entries<grant_entry_v2_t>();
  auto status = TableMapping::open(handles, domid, XENMEM_resource_grant_table_id_status,
                                   (entries.size() + kStatusInFrame - 1) / kStatusInFrame);
  if (!status) return fail(std::move(status));
  return withdraw(entries, status->entries<const grant_status_t>());
}

}  // namespace hadump
