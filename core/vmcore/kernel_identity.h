// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "core/base/units.h"
#include "core/vmcore/source.h"

namespace hadump {

/// What a crashed kernel says about itself, as far as it can be read; uname(2)'s words.
///
/// No field is empty: libkdumpfile (0.5.1, diskdump.c, uts_looks_sane) believes none of them, the
/// machine's name included, when one is.
struct KernelIdentity {
  std::string sysname = "Linux";
  std::string nodename = "(none)";
  std::string release = "(unknown)";
  std::string version = "(unknown)";
  std::string machine = "x86_64";
  std::string domainname = "(none)";
  /// Virtual address of physical 0 in the direct mapping; 0 when it cannot be told.
  GuestVirt page_offset;
  /// The kernel's image where it runs, from SYMBOL(_stext) as far as it is mapped in one piece;
  /// empty when it cannot be told. drgn reads the page tables' root through it (swapper_pg_dir is
  /// an address in the image), so an ELF core needs a PT_LOAD for it.
  LoadSegment image;
};

/// Reads it from VMCOREINFO and from init_uts_ns. What cannot be read keeps the words above; what
/// the guest put there is cut to printable characters.
KernelIdentity identify_kernel(const VmcoreSource& source);

}  // namespace hadump
