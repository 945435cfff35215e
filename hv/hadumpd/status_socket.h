// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// A Unix stream socket for root: one line of JSON in, one line of JSON out, then it closes.
class StatusSocket {
 public:
  using Answer = std::function<std::string(const std::string& request)>;

  /// Replaces a socket that a dead process left at `path`. @return kOs.
  static Result<StatusSocket> listen(const std::string& path);
  StatusSocket(StatusSocket&&) = default;
  StatusSocket& operator=(StatusSocket&&) = delete;
  ~StatusSocket();

  int fd() const { return fd_.get(); }
  /// Serves one waiting client, which has a second to say what it wants.
  void serve(const Answer& answer) const;

 private:
  StatusSocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

/// How long a client waits. hadumpd answers after a crash run, not during one.
inline constexpr std::chrono::seconds kAnswerTimeout{60};

/// The client's side: sends `request`, returns the answer. kNotFound when nobody listens; kBusy
/// when there is no answer within `timeout`.
Result<std::string> ask_daemon(const std::string& path, const std::string& request,
                               std::chrono::seconds timeout = kAnswerTimeout);

}  // namespace hadump
