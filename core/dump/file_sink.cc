// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/file_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/file.h"
#include "core/base/trusted_path.h"
#include "core/base/unique_handle.h"
#include "core/base/units.h"
#include "core/dump/data_stream.h"

namespace hadump {
namespace {

/// So many interrupted dumps of one name, and somebody should look at them first.
constexpr unsigned kMaxIncompleteFiles = 100;

struct OpenedTemporary {
  UniqueFd fd;
  std::string path;
};

Result<OpenedTemporary> create_temporary(const std::string& path) {
  for (unsigned n = 0; n < kMaxIncompleteFiles; ++n) {
    const std::string name =
        n == 0 ? path + "-incomplete" : fmt::format("{}-incomplete.{}", path, n);
    UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd) return OpenedTemporary{std::move(fd), name};
    if (errno != EEXIST) return fail_os(errno, "creating " + name);
  }
  return fail_os(EEXIST, fmt::format("{}-incomplete and {} more", path, kMaxIncompleteFiles));
}

class FileSink : public DumpSink {
 public:
  FileSink(OpenedTemporary file, std::string final_path, std::unique_ptr<DataStream> stream)
      : fd_(std::move(file.fd)),
        path_(std::move(file.path)),
        final_path_(std::move(final_path)),
        stream_(std::move(stream)) {}

  bool can_rewrite() const override { return true; }

  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    is_dirty_ = true;
    return stream_->write(offset, bytes);
  }

  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    is_dirty_ = true;
    auto written = write_all_at(fd_.get(), bytes, offset, path_);
    // What is allocated ahead of the data is room for the tables as well.
    if (!written && written.error().code() == ErrorCode::kNoSpace && stream_->give_back_space())
      written = write_all_at(fd_.get(), bytes, offset, path_);
    return written;
  }

  Result<> make_durable() override {
    if (!is_dirty_) return {};
    if (auto flushed = stream_->flush(); !flushed) return flushed;
    if (::fdatasync(fd_.get()) != 0) return fail_os(errno, "making " + path_ + " durable");
    is_dirty_ = false;
    return {};
  }

  Result<> publish(std::uint64_t size) override {
    if (auto flushed = stream_->flush(); !flushed) return flushed;
    stream_.reset();  // It cuts off what it preallocated, and must not do so after us.
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return fail_os(errno, "cutting " + path_);
    if (::fsync(fd_.get()) != 0) return fail_os(errno, "making " + path_ + " durable");
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, final_path_.c_str(), RENAME_NOREPLACE) != 0)
      if (auto renamed = rename_without_flag(errno); !renamed) return renamed;
    path_ = final_path_;
    return sync_directory_of(path_);
  }

  std::string location() const override { return path_; }

 private:
  /// Some file systems (NFS, FUSE) do not know RENAME_NOREPLACE; link() refuses just as well.
  Result<> rename_without_flag(int error) {
    if (error == EINVAL && ::link(path_.c_str(), final_path_.c_str()) == 0) {
      static_cast<void>(::unlink(path_.c_str()));  // A second name does no harm.
      return {};
    }
    return fail_os(error == EINVAL ? errno : error, "renaming " + path_ + " to " + final_path_);
  }

  UniqueFd fd_;
  std::string path_;
  std::string final_path_;
  bool is_dirty_ = true;                // Written to, or who knows: since it was made durable.
  std::unique_ptr<DataStream> stream_;  // After fd_, which it writes to: it goes first.
};

/// In a tmpfs there is no disk to go to: no write-back to wait for, no direct input and output.
bool is_in_memory(int fd) {
  struct statfs info {};
  return ::fstatfs(fd, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

Result<> refuse_existing(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return fail_os(EEXIST, "creating " + path);
  return {};
}

std::unique_ptr<DumpSink> make_sink(OpenedTemporary file, const std::string& path,
                                    const FileSinkOptions& options) {
  const bool in_memory = is_in_memory(file.fd.get());
  std::unique_ptr<DataStream> stream;
  if (options.direct && !in_memory) stream = open_direct_stream(file.fd.get(), file.path);
  if (!stream) stream = make_buffered_stream(file.fd.get(), file.path, !in_memory);
  return std::make_unique<FileSink>(std::move(file), path, std::move(stream));
}

}  // namespace

Result<std::unique_ptr<DumpSink>> open_file_sink(const std::string& path,
                                                 const FileSinkOptions& options) {
  if (auto free = refuse_existing(path); !free) return fail(std::move(free));
  auto file = create_temporary(path);
  if (!file) return fail(std::move(file));
  // The name must survive a power cut as surely as the portions that it holds.
  if (auto synced = sync_directory_of(file->path); !synced) return fail(std::move(synced));
  return make_sink(std::move(*file), path, options);
}

Result<std::unique_ptr<DumpSink>> reopen_file_sink(const std::string& partial,
                                                   const std::string& path,
                                                   const FileSinkOptions& options) {
  if (auto free = refuse_existing(path); !free) return fail(std::move(free));
  auto fd = open_file(partial, O_RDWR | O_NOFOLLOW);
  if (!fd) return fail(std::move(fd));
  if (auto ours = check_trusted_file(fd->get(), partial); !ours) return fail(std::move(ours));
  return make_sink({std::move(*fd), partial}, path, options);
}

}  // namespace hadump
