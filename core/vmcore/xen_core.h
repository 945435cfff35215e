// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>

#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Whether an ELF core without program headers is of a Xen domain, as `xl dump-core` writes it.
bool is_xen_core(const ByteFile& file, const Elf64_Ehdr& header);

/// Its memory as segments, and its vCPUs' registers as PRSTATUS notes. It has no VMCOREINFO.
///
/// Of a PVH or HVM domain: .xen_pfn says which frame each page of .xen_pages is. Of a PV domain:
/// .xen_p2m does, if the pages have guest frames in them (core/dump/xen_core_format.h).
/// @return kUnsupported for a PV domain's core of `xl dump-core`, whose page tables have machine
///         frames in them; kBadData for sections that contradict the file.
Result<VmcoreLayout> read_xen_core(const ByteFile& file, const Elf64_Ehdr& header);

}  // namespace hadump
