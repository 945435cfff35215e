// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/stream/channel.h"
#include "core/stream/receive_stream.h"
#include "hv/agent/stream_limit.h"
#include "hv/stream/stream_directory.h"

namespace hadump {

/// How far a stream is. Threads: any.
class StreamProgress {
 public:
  struct Now {
    std::string file;  ///< Empty until it has a name.
    std::uint64_t received = 0;
    std::uint64_t durable = 0;
  };
  void show(const Now& now) {
    const std::lock_guard lock(mutex_);
    now_ = now;
  }
  Now now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }

 private:
  mutable std::mutex mutex_;
  Now now_;
};

/// One stream that a guest has offered.
struct StreamTask {
  unsigned domid = 0;
  unsigned slot = 0;
  std::string domain;  ///< Its name.
  std::string uuid;
  StreamLimits limits;
  StreamPolicy policy;
  std::shared_ptr<StreamProgress> progress;  ///< Of the loop's and the job's.
};

/// Receives streams in the real world. Threads: any. Everything is borrowed.
struct StreamWorld {
  std::function<Result<std::unique_ptr<ByteChannel>>(unsigned domid, unsigned slot)> connect;
  /// Whether the domain runs. @return why not.
  std::function<Result<>(unsigned domid, const std::string& uuid)> check_domain;
  StreamDirectory& files;
  std::function<std::chrono::milliseconds()> now;
  const std::atomic<bool>& stopping;  ///< Ends streams at once.
};

/// @return as receive_stream(), and the errors of connecting.
Result<ReceivedStream> run_stream(const StreamWorld& world, const StreamTask& task);

}  // namespace hadump
