// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/status_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include "hv/hadumpd/status_socket.h"

namespace hadump {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxRequest = 4096;
constexpr std::size_t kMaxClients = 64;
constexpr milliseconds kClientPatience{10000};  // from its connection to the end of its answer

bool would_block(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EINTR);
}

}  // namespace

Result<StatusServer> StatusServer::listen(const std::string& path, Clock clock) {
  auto address = socket_address(path);
  if (!address) return fail(std::move(address));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_os(errno, "opening a socket");
  static_cast<void>(unlink(path.c_str()));  // bind() tells when that was not enough
  const mode_t old_mask = umask(0177);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  const int error = errno;
  umask(old_mask);
  if (bound != 0) return fail_os(error, "binding " + path);
  constexpr int kBacklog = 64;
  if (::listen(fd.get(), kBacklog) != 0) return fail_os(errno, "listening on " + path);
  return StatusServer(std::move(fd), path, std::move(clock));
}

StatusServer::~StatusServer() {
  if (fd_) static_cast<void>(unlink(path_.c_str()));  // the next start replaces it anyway
}

void StatusServer::add_to(std::vector<pollfd>& fds) const {
  if (clients_.size() < kMaxClients) fds.push_back({fd_.get(), POLLIN, 0});
  for (const Client& client : clients_)
    if (!client.complete)
      fds.push_back({client.fd.get(), POLLIN, 0});
    else if (client.answer)
      fds.push_back({client.fd.get(), POLLOUT, 0});
}

bool StatusServer::has_open_query() const {
  for (const Client& client : clients_)
    if (client.complete && !client.answer) return true;
  return false;
}

void StatusServer::accept_clients() {
  while (clients_.size() < kMaxClients) {
    UniqueFd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    clients_.push_back({.fd = std::move(fd), .since = clock_(), .query = {}, .answer = {}});
  }
}

StatusServer::Progress StatusServer::receive(Client& client) {
  std::array<char, kMaxRequest> piece{};
  const ssize_t bytes = recv(client.fd.get(), piece.data(), piece.size(), 0);
  if (would_block(bytes)) return Progress::kGoesOn;
  if (bytes < 0) return Progress::kOver;
  client.query.line.append(piece.data(), static_cast<std::size_t>(bytes));
  // A client may close its side instead of ending the line.
  client.complete = bytes == 0 || client.query.line.back() == '\n';
  const bool bad = client.query.line.empty() || client.query.line.size() > kMaxRequest;
  return bad ? Progress::kOver : Progress::kGoesOn;
}

StatusServer::Progress StatusServer::send(Client& client) {
  while (client.sent < client.answer->size()) {
    const ssize_t bytes = ::send(client.fd.get(), client.answer->data() + client.sent,
                                 client.answer->size() - client.sent, MSG_NOSIGNAL);
    if (would_block(bytes)) return Progress::kGoesOn;
    if (bytes < 0) return Progress::kOver;  // a client that went away
    client.sent += static_cast<std::size_t>(bytes);
  }
  return Progress::kOver;
}

StatusServer::Progress StatusServer::serve(Client& client, const Answer& answer) const {
  const milliseconds now = clock_();
  if (!client.complete && receive(client) == Progress::kOver) return Progress::kOver;
  if (client.complete && !client.answer) {
    client.query.waited = now - client.since;
    client.answer = answer(client.query);
  }
  if (client.answer && send(client) == Progress::kOver) return Progress::kOver;
  return now - client.since > kClientPatience ? Progress::kOver : Progress::kGoesOn;
}

void StatusServer::serve(const Answer& answer) {
  accept_clients();
  for (auto it = clients_.begin(); it != clients_.end();)
    it = serve(*it, answer) == Progress::kOver ? clients_.erase(it) : std::next(it);
}

}  // namespace hadump
