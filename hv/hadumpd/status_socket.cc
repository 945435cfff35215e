// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/status_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/unique_handle.h"

namespace hadump {
namespace {

constexpr std::size_t kMaxAnswer = 16U << 20;

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

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return fail(ErrorCode::kBadData, path + " is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<std::string> ask_daemon(const std::string& path, const std::string& request,
                               std::chrono::seconds timeout) {
  auto address = socket_address(path);
  if (!address) return fail(std::move(address));
  auto fd = open_socket({timeout.count(), 0});
  if (!fd) return fail(std::move(fd));
  const auto busy = [&] {
    return fail(ErrorCode::kBusy,
                fmt::format("no answer from hadumpd within {} s; see its log", timeout.count()));
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
