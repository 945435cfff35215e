// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/grant_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <utility>

#include "core/base/units.h"
#include "hv/xen/domain_list.h"

namespace hadump {

// A part of a domain's grant table in our address space.
class TableMapping {
 public:
  static Result<TableMapping> open(const XenHandles& handles, unsigned domid, unsigned part,
                                   std::size_t frames, int protection = PROT_READ | PROT_WRITE) {
    TableMapping mapping;
    mapping.foreign_ = handles.foreign.get();
    mapping.bytes_ = frames * kFrameSize;
    mapping.handle_ = xenforeignmemory_map_resource(mapping.foreign_, static_cast<domid_t>(domid),
                                                    XENMEM_resource_grant_table, part, 0, frames,
                                                    &mapping.address_, protection, 0);
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

struct TableSize {
  int version = 0;
  std::size_t frames = 0;
};

struct GrantTable::Mapped {
  TableSize size;
  std::optional<TableMapping> table;
  std::optional<TableMapping> status;  ///< of version 2
};

namespace {

Result<TableSize> size_of_table(const XenHandles& handles, unsigned domid) {
  xc_interface* control = handles.control.get();
  const int version = xc_gnttab_get_version(control, domid);
  if (version < 0) return fail_os(errno, "asking for the version of its grant table");
  gnttab_query_size size{};
  size.dom = static_cast<domid_t>(domid);
  if (xc_gnttab_query_size(control, &size) != 0 || size.status != GNTST_okay)
    return fail_os(errno, "asking for the size of its grant table");
  return TableSize{version, size.nr_frames};
}

std::size_t status_frames(std::size_t entries) {
  constexpr std::size_t kStatusInFrame = kFrameSize / sizeof(grant_status_t);
  return (entries + kStatusInFrame - 1) / kStatusInFrame;
}

// Beyond any guest's; the table is the guest's.
constexpr std::uint64_t kMaxFrame = std::uint64_t{1} << 40;
constexpr std::uint16_t kInUse = GTF_reading | GTF_writing;

// Leaves only those flags. Xen changes the flags of an entry that is being mapped in the same way.
std::uint16_t take_flags(std::uint16_t& flags, std::uint16_t but) {
  return std::atomic_ref<std::uint16_t>(flags).fetch_and(but);
}

void add(std::vector<HeldFrame>& held, unsigned domid, std::uint64_t frame, unsigned flags) {
  if ((flags & kInUse) == 0) return;
  held.push_back({domid, std::min(frame, kMaxFrame), (flags & GTF_writing) != 0});
}

// Dom0 is not listed, and always there.
Result<std::vector<unsigned>> domids_of_host(const XenHandles& handles) {
  auto domains = list_domains(handles.control.get());
  if (!domains) return fail(std::move(domains));
  std::vector<unsigned> domids{0};
  for (const DomainStatus& status : *domains) domids.push_back(status.domid);
  std::sort(domids.begin(), domids.end());
  return domids;
}

Result<RingFrames> ring_frames(const XenHandles& handles, unsigned domid) {
  RingFrames rings{};
  constexpr std::array<int, 2> kParams{HVM_PARAM_CONSOLE_PFN, HVM_PARAM_STORE_PFN};
  static_assert(GNTTAB_RESERVED_CONSOLE == 0 && GNTTAB_RESERVED_XENSTORE == 1);
  for (std::size_t i = 0; i < rings.size(); ++i)
    if (xc_hvm_param_get(handles.control.get(), domid, static_cast<std::uint32_t>(kParams[i]),
                         &rings[i]) != 0)
      return fail_os(errno, "asking for the frames of its rings");
  return rings;
}

// With those of the next domain behind it: frames come in ascending order, so that a set only grows
// at its end.
bool is_before(const HeldFrame& a, const HeldFrame& b) {
  return a.domid != b.domid ? a.domid < b.domid : a.frame < b.frame;
}

// Sorted before, since the guest has decided their order.
FrameSet set_of(std::vector<std::uint64_t> frames) {
  std::sort(frames.begin(), frames.end());
  FrameSet set;
  for (const std::uint64_t frame : frames) {
    const Gfn first{std::min(frame, kMaxFrame)};
    set.insert({first, Gfn{first.value + 1}});
  }
  return set;
}

}  // namespace

std::vector<HeldFrame> withdraw(std::span<grant_entry_v1_t> entries, const RingFrames& rings) {
  std::vector<HeldFrame> held;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const grant_entry_v1_t entry = entries[i];
    if (i < rings.size() && entry.frame == rings[i]) continue;
    add(held, entry.domid, entry.frame, take_flags(entries[i].flags, kInUse));
  }
  return held;
}

// Every type has what identifies the memory in the same place; one that names another domain's
// (GTF_transitive) is never mapped, and in use only while Xen copies.
std::vector<HeldFrame> withdraw(std::span<grant_entry_v2_t> entries,
                                std::span<const grant_status_t> status, const RingFrames& rings) {
  static_assert(offsetof(grant_entry_v2_t, full_page.frame) ==
                offsetof(grant_entry_v2_t, sub_page.frame));
  std::vector<HeldFrame> held;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const grant_entry_v2_t entry = entries[i];
    if (i < rings.size() && entry.full_page.frame == rings[i]) continue;
    static_cast<void>(take_flags(entries[i].hdr.flags, 0));
    if (i < status.size()) add(held, entry.hdr.domid, entry.full_page.frame, status[i]);
  }
  return held;
}

std::vector<HeldGrants> held_by_domain(std::vector<HeldFrame> held,
                                       std::span<const unsigned> domids, std::uint64_t* steps) {
  std::uint64_t count = held.size();
  std::sort(held.begin(), held.end(), [&count](const HeldFrame& a, const HeldFrame& b) {
    ++count;
    return is_before(a, b);
  });
  std::vector<HeldGrants> sums;
  auto domid = domids.begin();
  for (const HeldFrame& one : held) {
    for (; domid != domids.end() && *domid < one.domid; ++domid) ++count;
    if (domid == domids.end()) break;
    if (*domid != one.domid) continue;
    if (sums.empty() || sums.back().domid != one.domid)
      sums.push_back({.domid = one.domid, .frames = {}, .writable = {}});
    const FrameRange frame{Gfn{one.frame}, Gfn{one.frame + 1}};
    const auto ranges = sums.back().frames.ranges();
    count += ranges.empty() || ranges.back().begin <= frame.begin ? 1 : ranges.size();
    sums.back().frames.insert(frame);
    if (one.writable) sums.back().writable.insert(frame);
  }
  if (steps != nullptr) *steps = count;
  return sums;
}

Result<std::vector<HeldGrants>> withdraw_grants(const XenHandles& handles, unsigned domid) {
  auto size = size_of_table(handles, domid);
  if (!size) return fail(std::move(size));
  if (size->frames == 0) return std::vector<HeldGrants>();
  auto table =
      TableMapping::open(handles, domid, XENMEM_resource_grant_table_id_shared, size->frames);
  if (!table) return fail(std::move(table));
  auto rings = ring_frames(handles, domid);
  if (!rings) return fail(std::move(rings));
  std::vector<HeldFrame> held;
  if (size->version == 1) {
    held = withdraw(table->entries<grant_entry_v1_t>(), *rings);
  } else {
    const auto entries = table->entries<grant_entry_v2_t>();
    auto status = TableMapping::open(handles, domid, XENMEM_resource_grant_table_id_status,
                                     status_frames(entries.size()));
    if (!status) return fail(std::move(status));
    held = withdraw(entries, status->entries<const grant_status_t>(), *rings);
  }
  // Only now: whoever is not there yet can map nothing any more.
  auto domids = domids_of_host(handles);
  if (!domids) return fail(std::move(domids));
  return held_by_domain(std::move(held), *domids);
}

FrameSet writable_grants(std::span<const grant_entry_v1_t> entries) {
  std::vector<std::uint64_t> frames;
  for (const grant_entry_v1_t& shared : entries) {
    const grant_entry_v1_t entry = shared;
    const bool granted = (entry.flags & GTF_type_mask) == GTF_permit_access;
    if ((granted && (entry.flags & GTF_readonly) == 0) || (entry.flags & GTF_writing) != 0)
      frames.push_back(entry.frame);
  }
  return set_of(std::move(frames));
}

// Transitive grants are of another domain's memory.
FrameSet writable_grants(std::span<const grant_entry_v2_t> entries,
                         std::span<const grant_status_t> status) {
  std::vector<std::uint64_t> frames;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const grant_entry_v2_t entry = entries[i];
    const bool sub_page = (entry.hdr.flags & GTF_sub_page) != 0;
    const bool granted = (entry.hdr.flags & GTF_type_mask) == GTF_permit_access;
    const bool written = i < status.size() && (status[i] & GTF_writing) != 0;
    if ((granted && (entry.hdr.flags & GTF_readonly) == 0) || written)
      frames.push_back(sub_page ? entry.sub_page.frame : entry.full_page.frame);
  }
  return set_of(std::move(frames));
}

GrantTable::GrantTable(const XenHandles& handles, unsigned domid)
    : handles_(&handles), domid_(domid), mapped_(std::make_unique<Mapped>()) {}
GrantTable::GrantTable(GrantTable&&) noexcept = default;
GrantTable& GrantTable::operator=(GrantTable&&) noexcept = default;
GrantTable::~GrantTable() = default;

Result<GrantTable> GrantTable::open(const XenHandles& handles, unsigned domid) {
  GrantTable table(handles, domid);
  if (auto done = table.map_again(); !done) return fail(std::move(done));
  return table;
}

// A guest may have changed to another version, too.
Result<> GrantTable::map_again() {
  auto size = size_of_table(*handles_, domid_);
  if (!size) return fail(std::move(size));
  if (size->version == mapped_->size.version && size->frames == mapped_->size.frames) return {};
  *mapped_ = Mapped{*size, {}, {}};
  if (size->frames == 0) return {};
  auto table = TableMapping::open(*handles_, domid_, XENMEM_resource_grant_table_id_shared,
                                  size->frames, PROT_READ);
  if (!table) return fail(std::move(table));
  mapped_->table.emplace(std::move(*table));
  if (size->version == 1) return {};
  auto status = TableMapping::open(
      *handles_, domid_, XENMEM_resource_grant_table_id_status,
      status_frames(mapped_->table->entries<const grant_entry_v2_t>().size()), PROT_READ);
  if (!status) return fail(std::move(status));
  mapped_->status.emplace(std::move(*status));
  return {};
}

Result<FrameSet> GrantTable::writable() {
  if (auto done = map_again(); !done) return fail(std::move(done));
  if (!mapped_->table) return FrameSet();
  if (!mapped_->status) return writable_grants(mapped_->table->entries<const grant_entry_v1_t>());
  return writable_grants(mapped_->table->entries<const grant_entry_v2_t>(),
                         mapped_->status->entries<const grant_status_t>());
}

}  // namespace hadump
