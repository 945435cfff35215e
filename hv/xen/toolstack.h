// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/host.h"
#include "hv/rescue/acpi_tables.h"
#include "hv/rescue/twin.h"
#include "hv/xen/handles.h"

namespace hadump {

/// What is asked of libxl. The context is borrowed. Threads: one at a time.
class Toolstack {
 public:
  Toolstack(libxl_ctx* context, const XenHandles& handles) : context_(context), handles_(handles) {}

  /// @return kNotFound when libxl keeps no configuration for the domain.
  Result<DomainConfig> domain_config(unsigned domid) const;

  /// The ACPI tables that libxl makes for a domain like `domid`: a twin with the same vCPUs and
  /// next to no memory is created, never started, and destroyed. Takes a second or so.
  /// @param kernel_path  where to write the twin's (empty) kernel.
  /// @param mark  of the twin's UUID.
  /// @param made  called while the twin exists; may be empty.
  Result<AcpiTables> pristine_acpi_tables(unsigned domid, const std::string& kernel_path,
                                          const TwinMark& mark,
                                          const std::function<void()>& made) const;
  /// Destroys what a killed process of ours has left. @pre as leftover_twins().
  /// @return their numbers.
  Result<std::vector<unsigned>> destroy_leftover_twins(const TwinMark& mark) const;

  // The rest is as in Host.
  Result<> destroy(unsigned domid) const;
  Result<> set_aside(unsigned domid, const std::string& uuid) const;
  Result<HostRoom> room_for(const std::string& blueprint, std::uint64_t keep_free_bytes) const;
  Result<unsigned> create(const std::string& blueprint, std::uint64_t memory_kib) const;
  Result<> set_memory(unsigned domid, std::uint64_t kib) const;
  Result<> dump_core(unsigned domid, const std::string& path) const;

 private:
  Result<> take_disks(unsigned domid) const;

  libxl_ctx* context_;
  const XenHandles& handles_;
};

}  // namespace hadump
