// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

namespace hadump {
namespace {

struct flock whole_file() {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  return range;  // From 0; a length of 0 reaches to the end.
}

tl::unexpected<Error> is_written(const std::string& path) {
  return fail(ErrorCode::kBusy, fmt::format("another process writes to {}", path));
}

}  // namespace

Result<> lock_for_writing(int fd, const std::string& path) {
  struct flock range = whole_file();
  if (::fcntl(fd, F_OFD_SETLK, &range) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) return is_written(path);
  return {};  // NFS without its lock daemon, FUSE: nobody can have one there.
}

Result<> check_not_written(int fd, const std::string& path) {
  struct flock range = whole_file();
  if (::fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK) return {};
  return is_written(path);
}

}  // namespace hadump
