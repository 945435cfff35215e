// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

namespace hadump {

// What a domain's core is made of, for its reader and its writer. Sources: Xen's
// docs/misc/dump-core-format.txt and tools/libs/ctrl/xc_core.h.

inline constexpr const char* kXenNotes = ".note.Xen";
inline constexpr const char* kXenVcpus = ".xen_prstatus";  ///< kXenContextBytes for each
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

/// Size of a vcpu_guest_context of x86-64 (xen/include/public/arch-x86/xen.h).
inline constexpr std::size_t kXenContextBytes = 5168;
/// In it, user_regs begins with the first fifteen registers of a PRSTATUS note, in its order.
inline constexpr std::size_t kXenGeneralRegisters = 15, kXenGeneralOffset = 520;
/// The other registers: place in a PRSTATUS note (elf_gregset_t), offset and bytes in the context.
struct XenRegister {
  std::size_t in_note, offset, bytes;
};
inline constexpr XenRegister kXenRegisters[] = {{16, 648, 8},   // rip
                                                {17, 656, 2},   // cs
                                                {18, 664, 8},   // rflags
                                                {19, 672, 8},   // rsp
                                                {20, 680, 2},   // ss
                                                {21, 5144, 8},  // fs_base
                                                {23, 696, 2},   // ds
                                                {24, 688, 2},   // es
                                                {25, 704, 2},   // fs
                                                {26, 712, 2}};  // gs
/// A note has one GS base, the one in use; a context that of the kernel and that of user space.
inline constexpr std::size_t kNoteCs = 17, kNoteGsBase = 22;
inline constexpr std::size_t kXenGsBaseKernel = 5152, kXenGsBaseUser = 5160;

}  // namespace hadump
