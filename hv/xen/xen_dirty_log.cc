// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_dirty_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <span>

#include "core/base/text.h"
#include "hv/domain/dirty_bitmap.h"

namespace hadump {
namespace {

constexpr unsigned kWordBits = 64;

std::size_t words_for(Gfn end) {
  return (end.value + kWordBits - 1) / kWordBits;
}

}  // namespace

XenDirtyLog::~XenDirtyLog() {
  if (bitmap_.hbuf != nullptr)
    xc__hypercall_buffer_free_pages(handles_.control.get(), &bitmap_, bitmap_pages_);
}

// The log splits large pages as they are written to, and Xen ends a domain that has no memory left
// for its page tables (svm.c, VMEXIT_NPF). libxl's own rule gives a domain twice what small pages
// need (libxl__get_required_paging_memory()); one that was given less gets as much now. It keeps
// it: the pages stay small after the log has ended, and with what it had before, Xen might end it
// then.
Result<> XenDirtyLog::make_room(std::uint64_t keep_free_bytes) const {
  xc_interface* control = handles_.control.get();
  xc_dominfo_t info;
  if (xc_domain_getinfo(control, domid_, 1, &info) != 1 || info.domid != domid_)
    return fail(ErrorCode::kNotFound, fmt::format("domain {} does not exist", domid_));
  std::uint64_t bytes = 0;
  if (xc_get_paging_mempool_size(control, domid_, &bytes) != 0)
    return fail_os(errno, "asking for its memory for page tables");
  const std::uint64_t wanted =
      (std::uint64_t{info.max_vcpu_id} + 1) * 1_MiB + (address_of(end_).value >> 20) * kFrameSize;
  if (bytes >= wanted) return {};
  xc_physinfo_t host{};
  if (xc_physinfo(control, &host) != 0) return fail_os(errno, "asking Xen about the host");
  const std::uint64_t free = std::uint64_t{host.free_pages} << kFrameShift;
  if (free < wanted - bytes || free - (wanted - bytes) < keep_free_bytes)
    return fail(
        ErrorCode::kNoSpace,
        fmt::format("the host has {} of free memory, but {} are needed for the domain's page "
                    "tables while its writes are logged, and {} must stay free",
                    format_size(free), format_size(wanted - bytes), format_size(keep_free_bytes)));
  if (xc_set_paging_mempool_size(control, domid_, wanted) == 0) return {};
  if (errno == ENOMEM)
    return fail(ErrorCode::kNoSpace,
                fmt::format("the host has no {} KiB more for the domain's page tables, which it "
                            "needs while its writes are logged",
                            (wanted - bytes) >> 10));
  return fail_os(errno, "giving it memory for page tables");
}

Result<> XenDirtyLog::start(Gfn end, std::uint64_t keep_free_bytes) {
  xc_interface* control = handles_.control.get();
  if (bitmap_.hbuf == nullptr) {
    end_ = end;
    bitmap_pages_ =
        static_cast<int>((words_for(end) * sizeof(std::uint64_t) + kFrameSize - 1) / kFrameSize);
    // As DECLARE_HYPERCALL_BUFFER does, which is not C++: no bounce buffer.
    bitmap_.ubuf = reinterpret_cast<void*>(-1);
    if (xc__hypercall_buffer_alloc_pages(control, &bitmap_, bitmap_pages_) == nullptr)
      return fail_os(ENOMEM, "taking memory for the log of its writes");
  }
  if (auto done = make_room(keep_free_bytes); !done) return done;
  auto grants = GrantTable::open(handles_, domid_);
  if (!grants) return fail(std::move(grants));
  grants_.emplace(std::move(*grants));
  if (xc_shadow_control(control, domid_, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, nullptr, 0) >= 0)
    return {};
  // paging_log_dirty_enable() says this for both.
  if (errno == EINVAL || errno == EBUSY)
    return fail(ErrorCode::kBusy,
                "Xen does not log its writes: they are being logged already (is it migrated or "
                "saved?), or it has a passed-through device");
  if (errno == EOPNOTSUPP || errno == ENOSYS)
    return fail(ErrorCode::kUnsupported, "Xen cannot log this domain's writes");
  return fail_os(errno, "beginning to log its writes");
}

Result<FrameSet> XenDirtyLog::take(bool last) {
  xc_shadow_op_stats_t stats{};
  const long long frames =
      xc_logdirty_control(handles_.control.get(), domid_, XEN_DOMCTL_SHADOW_OP_CLEAN, &bitmap_,
                          end_.value, last ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0, &stats);
  if (frames < 0) return fail_os(errno, "asking what it has written to");
  if (static_cast<std::uint64_t>(frames) != end_.value)
    return fail(ErrorCode::kOs,
                fmt::format("Xen told of the writes to {} of {} frames only", frames, end_.value));
  return frames_of_bitmap({static_cast<const std::uint64_t*>(bitmap_.hbuf), words_for(end_)}, end_);
}

Result<FrameSet> XenDirtyLog::unlogged() {
  return grants_->writable();
}

Result<> XenDirtyLog::stop() {
  if (xc_shadow_control(handles_.control.get(), domid_, XEN_DOMCTL_SHADOW_OP_OFF, nullptr, 0) < 0)
    return fail_os(errno, "ending the log of its writes");
  return {};
}

}  // namespace hadump
