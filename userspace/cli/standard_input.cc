// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/standard_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/base/file.h"
#include "core/base/units.h"
#include "core/vmcore/open.h"

namespace hadump {
namespace {

constexpr const char* kName = "standard input";

std::string scratch_directory() {
  const char* const chosen = ::secure_getenv("TMPDIR");
  return chosen != nullptr && chosen[0] == '/' ? chosen : "/var/tmp";
}

/// Without a name: nobody else finds it, and it is gone with this process.
Result<UniqueFd> copy_of_pipe() {
  const std::string directory = scratch_directory();
  auto copy = open_file(directory, O_TMPFILE | O_RDWR | O_EXCL, 0600);
  if (!copy) return fail(std::move(copy), "a copy of standard input, in TMPDIR");
  std::vector<std::byte> buffer(1_MiB);
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_os(errno, "reading standard input");
    if (got == 0) return copy;
    const std::span<const std::byte> part(buffer.data(), static_cast<std::size_t>(got));
    if (auto written = write_all(copy->get(), part, directory); !written)
      return fail(std::move(written), "a copy of standard input, in TMPDIR");
  }
}

Result<UniqueFd> open_standard_input() {
  struct stat info {};
  if (::fstat(STDIN_FILENO, &info) != 0) return fail_os(errno, "looking at standard input");
  if (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode)) return UniqueFd(::dup(STDIN_FILENO));
  if (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode))
    return fail(ErrorCode::kUnsupported,
                "standard input is neither a file nor a pipe: name the dump's file");
  // The pipe is empty afterwards.
  static Result<UniqueFd> copy = copy_of_pipe();
  if (!copy) return tl::unexpected(copy.error());
  return UniqueFd(::dup(copy->get()));
}

}  // namespace

Result<std::unique_ptr<OpenedFile>> open_input(const std::string& path) {
  if (path != "-") return OpenedFile::open(path);
  auto fd = open_standard_input();
  if (!fd) return fail(std::move(fd));
  if (!*fd) return fail_os(errno, "opening standard input");
  return OpenedFile::take(std::move(*fd), kName);
}

Result<std::unique_ptr<VmcoreSource>> open_inputs(const std::vector<std::string>& paths) {
  std::vector<std::unique_ptr<ByteFile>> files;
  for (const std::string& path : paths) {
    auto file = open_input(path);
    if (!file) return fail(std::move(file));
    files.push_back(std::move(*file));
  }
  return open_vmcore(std::move(files));
}

}  // namespace hadump
