// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/domain_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "hv/xen/xen_guest_memory.h"

namespace hadump {
namespace {

tl::unexpected<Error> read_only() {
  return fail(ErrorCode::kUnsupported, "the domain is only read here");
}

}  // namespace

struct XenDomainReader::Opened {
  Opened(XenHandles own, unsigned domid)
      : process(::getpid()), handles(std::move(own)), memory(handles, domid) {}
  pid_t process;
  XenHandles handles;
  XenGuestMemory memory;
};

Result<const GuestMemory*> XenDomainReader::memory() const {
  const std::lock_guard lock(mutex_);
  if (!opened_ || opened_->process != ::getpid()) {
    auto handles = XenHandles::open(log_);
    if (!handles) return fail(std::move(handles));
    opened_ = std::make_shared<const Opened>(std::move(*handles), domid_);
  }
  return &opened_->memory;
}

Result<FrameMapping> XenDomainReader::map(FrameRange range, Access access) const {
  if (access != Access::kRead) return read_only();
  return memory().and_then([&](const GuestMemory* memory) { return memory->map(range, access); });
}

Result<std::vector<FrameKind>> XenDomainReader::kinds(FrameRange range) const {
  return memory().and_then([&](const GuestMemory* memory) { return memory->kinds(range); });
}

Result<std::uint64_t> XenDomainReader::total_frames() const {
  return memory().and_then([](const GuestMemory* memory) { return memory->total_frames(); });
}

Result<> XenDomainReader::set_limit_kib(std::uint64_t) {
  return read_only();
}
Result<std::uint64_t> XenDomainReader::host_free_bytes() const {
  return read_only();
}
Result<> XenDomainReader::add_frames(const FrameSet&) {
  return read_only();
}
Result<> XenDomainReader::take_away(const FrameSet&) {
  return read_only();
}
Result<> XenDomainReader::move_frame(Gfn, Gfn) {
  return read_only();
}

std::string uuid_text(const std::uint8_t (&uuid)[16]) {
  std::string text;
  for (unsigned i = 0; i < sizeof(uuid); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

Result<std::string> uuid_of_domain(XenLog& log, unsigned domid) {
  const ControlHandle control(xc_interface_open(log.get(), log.get(), 0));
  if (!control) return fail_os(errno, "opening the Xen control interface");
  xc_dominfo_t info;
  if (xc_domain_getinfo(control.get(), domid, 1, &info) != 1 || info.domid != domid)
    return fail(ErrorCode::kNotFound, fmt::format("there is no domain {}", domid));
  return uuid_text(info.handle);
}

}  // namespace hadump
