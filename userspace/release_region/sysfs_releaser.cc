// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/sysfs_releaser.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/file.h"
#include "core/base/format_range.h"
#include "userspace/cli/regions_file.h"

namespace hadump {
namespace {

// One write() call: sysfs takes each as a command of its own. Returns 0 or the errno.
Result<> write_once(const std::string& path, std::string_view text) {
  auto fd = open_file(path, O_WRONLY);
  if (!fd) return fail(std::move(fd));
  ssize_t written = 0;
  do {
    written = ::write(fd->get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return fail_os(errno, "writing " + path);
  if (static_cast<std::size_t>(written) != text.size())
    return fail(ErrorCode::kOs, path + ": accepted only part of the line");
  return {};
}

}  // namespace

Error release_error(int errno_value, FrameRange range) {
  const std::string what = "releasing " + format_range(range);
  switch (errno_value) {
    case EINVAL:
      return {ErrorCode::kBadData, what + ": the module does not accept it as a range (EINVAL)"};
    case EFAULT:
      return {ErrorCode::kBadData, what + ": not page-aligned (EFAULT)"};
    case ERANGE:
      return {ErrorCode::kBadData,
              what + ": neither entirely inside held memory nor exactly the save area (ERANGE)"};
    case EALREADY:
      return {ErrorCode::kBadData, what + ": part of it has already been released (EALREADY)"};
    case EBUSY:
      return {
          ErrorCode::kBusy,
          what + ": the save area must be released last, and other memory is still held (EBUSY)"};
    case EOPNOTSUPP:
      return {ErrorCode::kUnsupported,
              what + ": this kernel offers no way to keep it out of Xen's balloon (EOPNOTSUPP)"};
    case ENOMEM:
      return Error::os(ENOMEM, what + ": the kernel lacks the memory to add it; try again");
    default:
      return Error::os(errno_value, what);
  }
}

Result<RegionTable> SysfsReleaser::regions() {
  return read_regions(kernel_dir_);
}

// kernfs has no flock of its own (fs/kernfs/file.c), so that of all file systems serves: it belongs
// to the file's inode, of which each network namespace's sysfs has its own (fs/sysfs/mount.c).
Result<UniqueFd> SysfsReleaser::lock() {
  const std::string path = kernel_dir_ + "/release_region";
  auto fd = open_file(path, O_RDWR);
  if (!fd) return fd;
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK)
    return fail(ErrorCode::kBusy,
                "this dump is already being saved by a process that holds " + path);
  return fail_os(errno, "locking " + path);
}

Result<> SysfsReleaser::release(FrameRange range) {
  const std::string line =
      fmt::format("{:#x} {:#x}\n", address_of(range.begin).value, range.bytes());
  auto written = write_once(kernel_dir_ + "/release_region", line);
  if (!written && written.error().os_errno() != 0)
    return tl::unexpected(release_error(written.error().os_errno(), range));
  return written;
}

Result<> SysfsReleaser::report_progress(std::string_view line) {
  return write_once(kernel_dir_ + "/hadump/progress", line);
}

}  // namespace hadump
