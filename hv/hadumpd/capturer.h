// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "hv/capture/capture_record.h"
#include "hv/domain/domain_vmcore.h"
#include "hv/domain/host.h"
#include "hv/hadumpd/capture_book.h"
#include "hv/hadumpd/record_book.h"

namespace hadump {

/// A capture that is to be run, or to be continued.
struct CaptureTask {
  DomainConfig config;  ///< empty when it is continued and the domain has been put aside
  CaptureRecord record;
  std::uint64_t keep_free_bytes = 0;
  std::chrono::milliseconds backend_timeout{10000};
};

/// Captures in the real world: opens the domain, runs the mode, and writes down how far it is.
///
/// Threads: any. Everything is borrowed.
class Capturer {
 public:
  /// @param state_directory  where saves are noted and locked.
  /// @param stopping  ends captures at the next safe point; the next hadumpd continues them.
  Capturer(Host& host, CaptureBook& book, RecordBook& domains, std::string state_directory,
           const std::atomic<bool>& stopping)
      : host_(host),
        book_(book),
        domains_(domains),
        state_directory_(std::move(state_directory)),
        stopping_(stopping) {}

  /// The book has the record's last state. @return the errors of Host::open() and of the mode.
  Result<> operator()(CaptureTask task) const;

  /// Removes what is kept for captures that nobody can go on with any more: they have ended, and
  /// their domain is gone. A capture whose record cannot be read is not among them.
  void forget_ended() const;

 private:
  Result<> describe_as_before(OpenDomain& domain, CaptureTask& task) const;
  Result<WaitingMemory> waiting_memory(const GuestMemory& memory, const CaptureTask& task) const;
  Result<> own_successor(const CaptureRecord& record, unsigned domid) const;

  Host& host_;
  CaptureBook& book_;
  RecordBook& domains_;
  std::string state_directory_;
  const std::atomic<bool>& stopping_;
};

}  // namespace hadump
