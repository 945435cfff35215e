// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/status_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace hadump {
namespace {

constexpr std::size_t kMaxRequest = 4096;
constexpr std::size_t kMaxAnswer = 16U << 20;
constexpr timeval kClientTimeout{1, 0};

Result<sockaddr_un> address_for(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return fail(ErrorCode::kBadData, path + " is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> open_socket(const timeval& timeout) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_os(errno, "opening a socket");
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0)
    return fail_os(errno, "setting a socket's timeout");
  return fd;
}

Result<std::string> read_line(int fd, std::size_t limit) {
  std::string line;
  std::array<char, 4096> piece{};
  while (line.size() < limit && (line.empty() || line.back() != '\n')) {
    const ssize_t bytes = recv(fd, piece.data(), piece.size(), 0);
    if (bytes < 0) return fail_os(errno, "reading from the socket");
    if (bytes == 0) break;
    line.append(piece.data(), static_cast<std::size_t>(bytes));
  }
  return line;
}

Result<> send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t bytes = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (bytes < 0) return fail_os(errno, "writing to the socket");
    text.remove_prefix(static_cast<std::size_t>(bytes));
  }
  return {};
}

}  // namespace

Result<StatusSocket> StatusSocket::listen(const std::string& path) {
  auto address = address_for(path);
  if (!address) return fail(std::move(address));
  auto fd = open_socket(kClientTimeout);
  if (!fd) return fail(std::move(fd));
  static_cast<void>(unlink(path.c_str()));  // bind() tells when that was not enough
  const mode_t old_mask = umask(0177);
  const int bound = bind(fd->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  const int error = errno;
  umask(old_mask);
  if (bound != 0) return fail_os(error, "binding " + path);
  constexpr int kBacklog = 8;
  if (::listen(fd->get(), kBacklog) != 0) return fail_os(errno, "listening on " + path);
  return StatusSocket(std::move(*fd), path);
}

StatusSocket::~StatusSocket() {
  if (fd_) static_cast<void>(unlink(path_.c_str()));  // the next start replaces it anyway
}

void StatusSocket::serve(const Answer& answer) const {
  const UniqueFd client(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) return;
  static_cast<void>(
      setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kClientTimeout, sizeof(kClientTimeout)));
  static_cast<void>(
      setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &kClientTimeout, sizeof(kClientTimeout)));
  const auto request = read_line(client.get(), kMaxRequest);
  if (!request || request->empty()) return;
  static_cast<void>(send_all(client.get(), answer(*request)));  // a client that went away
}

Result<std::string> ask_daemon(const std::string& path, const std::string& request,
                               std::chrono::seconds timeout) {
  auto address = address_for(path);
  if (!address) return fail(std::move(address));
  auto fd = open_socket({timeout.count(), 0});
  if (!fd) return fail(std::move(fd));
  const auto busy = [&] {
    return fail(ErrorCode::kBusy, fmt::format("no answer from hadumpd within {} s; it is busy with "
                                              "a crash (see its log). Try again later",
                                              timeout.count()));
  };
  if (connect(fd->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    if (errno == EAGAIN) return busy();  // as many as may wait do so already
    if (errno == ECONNREFUSED || errno == ENOENT)
      return fail(ErrorCode::kNotFound, "hadumpd is not running (nothing listens on " + path + ")");
    return fail_os(errno, "connecting to " + path);
  }
  if (auto done = send_all(fd->get(), request + "\n"); !done) return fail(std::move(done));
  auto answer = read_line(fd->get(), kMaxAnswer);
  if (!answer && answer.error().os_errno() == EAGAIN) return busy();
  return answer;
}

}  // namespace hadump
