// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Reads and checks the headers of an ELF core: segments, notes and the incomplete flag of the
/// result are set, `frames` is not. Errors as ElfVmcoreSource::open.
Result<VmcoreLayout> read_elf_headers(const ByteFile& file);

}  // namespace hadump
