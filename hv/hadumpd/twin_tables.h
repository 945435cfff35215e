// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "hv/hadumpd/stall_watch.h"
#include "hv/rescue/twin.h"
#include "hv/xen/handles.h"
#include "hv/xen/toolstack.h"

namespace hadump {

/// The ACPI tables of domains, which libxl makes for a new domain only: for each a twin is created,
/// which never runs, and destroyed at once.
///
/// Threads: the functions are for any thread.
class TwinTables {
 public:
  struct Setting {
    std::string state_directory;  ///< what twins are marked by, as this host's hadumpd's
    std::string run_directory;    ///< has the twins' kernel
    std::string hang_at;          ///< for tests: "twin-made" or "leftovers"; as libxl could
  };

  /// @param log, stalls  are borrowed.
  /// @return kOs when the state directory cannot be looked at.
  static Result<std::unique_ptr<TwinTables>> create(XenLog& log, StallWatch& stalls,
                                                    Setting setting);
  /// Waits for libxl, however long that takes.
  ~TwinTables() = default;

  /// Destroys what an earlier hadumpd was killed over, on a thread of its own: libxl has no
  /// deadlines, and only make() waits for it. To be called once. Failures are lines in the log.
  void destroy_leftovers();

  /// @return the errors of Toolstack::pristine_acpi_tables().
  Result<AcpiTables> make(unsigned domid);

 private:
  TwinTables(XenLog& log, StallWatch& stalls, Setting setting, TwinMark mark)
      : log_(log), stalls_(stalls), setting_(std::move(setting)), mark_(std::move(mark)) {}
  void destroy_all() const;

  XenLog& log_;
  StallWatch& stalls_;
  Setting setting_;
  TwinMark mark_;
  std::mutex twins_;  ///< held while there is one of ours, or all are looked for
  std::jthread leftovers_;
};

}  // namespace hadump
