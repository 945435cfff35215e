// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>

#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// More vCPUs than any Xen gives a domain.
inline constexpr std::uint64_t kMaxXenVcpus = 8192;

/// Whether an ELF core without program headers is of a Xen domain, as `xl dump-core` writes it.
bool is_xen_core(const ByteFile& file, const Elf64_Ehdr& header);

/// Its memory as segments, and its vCPUs' registers as PRSTATUS notes. It has no VMCOREINFO.
///
/// Of a PVH or HVM domain: .xen_pfn says which frame each page of .xen_pages is. Sources: Xen's
/// docs/misc/dump-core-format.txt and tools/libs/ctrl/xc_core.h.
/// @return kUnsupported for a PV domain, whose memory is in machine frames; kBadData for sections
///         that contradict the file.
Result<VmcoreLayout> read_xen_core(const ByteFile& file, const Elf64_Ehdr& header);

}  // namespace hadump
