// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

namespace hadump {

// What a domain's core is made of, for its reader and its writer. Sources: Xen's
// docs/misc/dump-core-format.txt and tools/libs/ctrl/xc_core.h.

inline constexpr const char* kXenNotes = ".note.Xen";
inline constexpr const char* kXenVcpus = ".xen_prstatus";  ///< a vcpu_guest_context for each
inline constexpr const char* kXenPfns = ".xen_pfn";        ///< HVM, PVH: which frame each page is
inline constexpr const char* kXenP2m = ".xen_p2m";         ///< PV: XenP2mEntry for each page
inline constexpr const char* kXenPages = ".xen_pages";

/// Which frame a page is, and which machine frame it was.
struct XenP2mEntry {
  std::uint64_t pfn;
  std::uint64_t mfn;
};
/// XC_CORE_INVALID_PFN: no page.
inline constexpr std::uint64_t kXenNoPfn = ~std::uint64_t{0};

/// vcpu_guest_context of x86-64 (xen/include/public/arch-x86/xen.h): user_regs, whose first fifteen
/// registers are in the order of user_regs_struct, and the bases at the end.
struct XenContext {
  static constexpr std::size_t kBytes = 5168;
  static constexpr std::size_t kRegisters = 520, kRip = 648, kCs = 656, kRflags = 664, kRsp = 672,
                               kSs = 680, kEs = 688, kDs = 696, kFs = 704, kGs = 712,
                               kFsBase = 5144, kGsBaseKernel = 5152, kGsBaseUser = 5160;
  static constexpr std::size_t kGeneralRegisters = 15;
};

}  // namespace hadump
