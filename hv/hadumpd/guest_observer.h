// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "hv/domain/domain.h"
#include "hv/hadumpd/wakeup.h"

namespace hadump {

/// What was read last, by domid; a domain that could not be read is missing.
struct GuestsHeard {
  std::map<unsigned, GuestNews> news;
  std::uint64_t look = 0;  ///< if not less than a ticket of ask(), it was read after that
};

/// Reads what xenstore says of guests, every second and when it is asked to, so that the event loop
/// never waits for xenstored.
///
/// Threads: all functions are for any thread; reading is done on one of its own.
class GuestObserver {
 public:
  /// @param all  every key of the guest's, or its state and its boot's memory only.
  using Read = std::function<Result<GuestNews>(unsigned domid, bool all)>;

  /// @param read  called on the observer's thread only.
  /// @param wakeup  borrowed; notified when a guest has said something new, and after ask().
  GuestObserver(Read read, const Wakeup& wakeup);
  GuestObserver(const GuestObserver&) = delete;
  GuestObserver& operator=(const GuestObserver&) = delete;
  /// Waits for the read at hand.
  ~GuestObserver();

  /// The domains to look at. @param closely  whether to read all keys each time.
  void follow(std::map<unsigned, bool> closely);
  /// Asks for a look at all keys of all domains. @return a ticket for answered().
  std::uint64_t ask();
  /// Whether a look has ended that began after the ticket was given.
  bool answered(std::uint64_t ticket) const;
  GuestsHeard heard() const;

 private:
  void work(const std::stop_token& stop);
  std::map<unsigned, GuestNews> look(const std::map<unsigned, bool>& closely, bool all,
                                     const std::stop_token& stop) const;

  Read read_;
  const Wakeup& wakeup_;
  mutable std::mutex mutex_;  ///< of all that follows; not held while anything is read
  std::condition_variable_any wake_;
  std::map<unsigned, bool> closely_;
  GuestsHeard heard_;
  std::uint64_t begun_ = 0;
  std::uint64_t ended_ = 0;
  bool asked_ = false;
  std::jthread thread_;  ///< last: it uses all of the above
};

}  // namespace hadump
