// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hv/agent/retry_rules.h"
#include "hv/agent/stream_limit.h"
#include "hv/domain/domain.h"
#include "hv/hadumpd/jobs.h"
#include "hv/stream/stream_task.h"

namespace hadump {

/// A guest that may send streams.
struct StreamGuest {
  std::string name;
  std::string uuid;
  StreamPolicy policy;
};

/// One stream as `hadump list` shows it.
struct StreamView {
  unsigned domid = 0;
  std::string domain;
  std::string uuid;
  std::string file;  ///< Its path; empty until it has one.
  std::uint64_t begun_ms = 0;
  std::uint64_t received = 0;
  std::uint64_t durable = 0;
};

/// Starts a job for each stream that a guest offers, within limits. Jobs of a crash or a capture
/// are others: a stream keeps none of them waiting, whatever its guest does.
///
/// Threads: the event loop's.
class StreamKeeper {
 public:
  /// Everything is borrowed.
  struct World {
    Jobs& jobs;  ///< of streams only
    /// On a job's thread.
    std::function<Result<ReceivedStream>(const StreamTask&)> receive;
    std::function<std::uint64_t()> wall_ms;                ///< milliseconds since 1970
    std::function<std::chrono::milliseconds()> monotonic;  ///< a clock that does not jump
  };
  explicit StreamKeeper(World world) : world_(std::move(world)) {}

  /// Ends the jobs that are over, and starts those that are due. Cheap when nothing is.
  /// @param guests  those that may send. @param offers  by domid: read_stream_offers().
  void look(const std::map<unsigned, StreamGuest>& guests,
            const std::map<unsigned, GuestNews>& offers, const StreamLimits& limits);

  std::vector<StreamView> views() const;

 private:
  using Place = std::pair<unsigned, unsigned>;  ///< domid, slot
  struct Running {
    StreamTask task;
    std::uint64_t begun_ms = 0;
  };
  void forget_gone(const std::map<unsigned, StreamGuest>& guests,
                   const std::map<unsigned, GuestNews>& offers);
  void offered(const Place& place, const std::string& id, const StreamGuest& guest,
               const StreamLimits& limits);
  void ended(const Place& place, const Result<ReceivedStream>& result);

  World world_;
  std::map<Place, std::string> served_;  ///< UUID and id of the newest stream that was begun
  std::map<Place, Running> running_;
  std::map<unsigned, Attempts> attempts_;  ///< by domid: streams that failed in a row
  bool told_of_limit_ = false;
};

}  // namespace hadump
