// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// The socket that hadump(8) asks: one line of JSON in, one line of JSON out, then it closes. For
/// root only. No client waits for another one, and the event loop waits for none: nothing here
/// blocks.
///
/// Threads: one at a time.
class StatusServer {
 public:
  struct Query {
    std::string line;
    std::chrono::milliseconds waited{};  ///< since the client came
    std::uint64_t ticket = 0;            ///< the answerer's, to know the query again
  };
  /// @return nothing when there is no answer yet; it is asked again at the next serve().
  using Answer = std::function<std::optional<std::string>(Query& query)>;
  using Clock = std::function<std::chrono::milliseconds()>;

  /// Replaces a socket that a dead process left at `path`. @return kOs.
  static Result<StatusServer> listen(const std::string& path, Clock clock);
  StatusServer(StatusServer&&) = default;
  StatusServer& operator=(StatusServer&&) = delete;
  ~StatusServer();

  /// What to poll before the next serve().
  void add_to(std::vector<pollfd>& fds) const;
  /// Whether a query waits for its answer, so that serve() should come again soon.
  bool has_open_query() const;
  /// Takes in what clients say, asks for answers, and sends what they take. Clients that are slow
  /// are dropped.
  void serve(const Answer& answer);

 private:
  struct Client {
    UniqueFd fd;
    std::chrono::milliseconds since{};
    Query query;
    bool complete = false;  ///< the query is
    std::optional<std::string> answer;
    std::size_t sent = 0;
  };
  enum class Progress { kGoesOn, kOver };

  StatusServer(UniqueFd fd, std::string path, Clock clock)
      : fd_(std::move(fd)), path_(std::move(path)), clock_(std::move(clock)) {}
  void accept_clients();
  Progress serve(Client& client, const Answer& answer) const;
  static Progress receive(Client& client);
  static Progress send(Client& client);

  UniqueFd fd_;
  std::string path_;
  Clock clock_;
  std::list<Client> clients_;
};

}  // namespace hadump
