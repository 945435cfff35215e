// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lab/truth/pv_frames.h"

extern "C" {
#include <xenctrl.h>
#include <xenguest.h>
}

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace hadump::lab {
namespace {

constexpr std::uint64_t kAddress = 0x000ffffffffff000;

[[noreturn]] void die(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

struct CloseXen {
  void operator()(xc_interface* xen) const { static_cast<void>(xc_interface_close(xen)); }
};

}  // namespace

bool PvFrames::open(std::uint32_t domid) {
  const std::unique_ptr<xc_interface, CloseXen> xen(xc_interface_open(nullptr, nullptr, 0));
  xc_dominfo_t info{};
  if (!xen || xc_domain_getinfo(xen.get(), domid, 1, &info) != 1 || info.domid != domid)
    die("asking about the domain");
  if (info.hvm != 0) return false;
  xc_domain_meminfo frames{};
  if (xc_map_domain_meminfo(xen.get(), domid, &frames) != 0) die("reading the guest's p2m");
  for (std::uint64_t number = 0; number < frames.p2m_size; ++number) {
    const std::uint64_t type = frames.pfn_type[number] & XEN_DOMCTL_PFINFO_LTAB_MASK;
    machine_.push_back(frames.p2m_table[number]);
    const std::uint64_t level = (type & ~XEN_DOMCTL_PFINFO_LPINTAB) >> 28;
    levels_.push_back(static_cast<unsigned char>(level <= 4 ? level : 0));
    if (type != XEN_DOMCTL_PFINFO_XTAB) numbers_.emplace_back(machine_.back(), number);
  }
  static_cast<void>(xc_unmap_domain_meminfo(xen.get(), &frames));
  std::sort(numbers_.begin(), numbers_.end());
  return true;
}

void PvFrames::renumber(std::span<std::uint64_t> entries, unsigned level) const {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::uint64_t& entry = entries[i];
    if (level == 4 && i / 16 == 16) entry = 0;  // the hypervisor's half of a half
    if (entry % 2 == 0) continue;
    const auto machine = (entry & kAddress) >> 12;
    const auto found = std::lower_bound(numbers_.begin(), numbers_.end(),
                                        std::pair<std::uint64_t, std::uint64_t>{machine, 0});
    entry = found != numbers_.end() && found->first == machine
                ? (entry & ~kAddress) | found->second << 12
                : 0;
  }
}

}  // namespace hadump::lab
