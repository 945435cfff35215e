// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/file_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/file.h"
#include "core/base/file_lock.h"
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
  HeldFile file;
};

Result<OpenedTemporary> create_temporary(const HeldFile& wanted) {
  for (unsigned n = 0; n < kMaxIncompleteFiles; ++n) {
    const HeldFile file = wanted.beside(n == 0 ? wanted.name() + "-incomplete"
                                               : fmt::format("{}-incomplete.{}", wanted.name(), n));
    auto fd = file.open(O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd) {
      // Whoever has it already goes on with it: it is not removed.
      if (auto locked = lock_for_writing(fd->get(), file.path()); !locked)
        return fail(std::move(locked));
      return OpenedTemporary{std::move(*fd), file};
    }
    if (fd.error().os_errno() != EEXIST) return fail(std::move(fd));
  }
  return fail_os(EEXIST,
                 fmt::format("{}-incomplete and {} more", wanted.path(), kMaxIncompleteFiles));
}

class FileSink : public DumpSink {
 public:
  FileSink(OpenedTemporary opened, HeldFile final_file, bool replaces,
           std::unique_ptr<DataStream> stream)
      : fd_(std::move(opened.fd)),
        file_(std::move(opened.file)),
        final_file_(std::move(final_file)),
        replaces_(replaces),
        stream_(std::move(stream)) {}

  bool can_rewrite() const override { return true; }

  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    is_dirty_ = true;
    return stream_->write(offset, bytes);
  }

  Result<DataRoom> begin_data(std::uint64_t offset, std::size_t bytes) override {
    is_dirty_ = true;
    return stream_->begin(offset, bytes);
  }
  void end_data(const DataRoom& room) override { stream_->end(room); }

  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    is_dirty_ = true;
    auto written = write_all_at(fd_.get(), bytes, offset, file_.path());
    // What is allocated ahead of the data is room for the tables as well.
    if (!written && written.error().code() == ErrorCode::kNoSpace && stream_->give_back_space())
      written = write_all_at(fd_.get(), bytes, offset, file_.path());
    return written;
  }

  Result<> make_durable() override {
    if (!is_dirty_) return {};
    if (auto flushed = stream_->flush(); !flushed) return flushed;
    if (::fdatasync(fd_.get()) != 0) return fail_os(errno, "making " + file_.path() + " durable");
    is_dirty_ = false;
    return {};
  }

  Result<> publish(std::uint64_t size) override {
    if (auto flushed = stream_->flush(); !flushed) return flushed;
    stream_.reset();  // It cuts off what it preallocated, and must not do so after us.
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return fail_os(errno, "cutting " + file_.path());
    if (::fsync(fd_.get()) != 0) return fail_os(errno, "making " + file_.path() + " durable");
    auto renamed =
        replaces_ ? file_.rename_to(final_file_.name()) : file_.rename_to_new(final_file_.name());
    if (!renamed) return renamed;
    file_ = final_file_;
    return file_.sync_directory();
  }

  std::string location() const override { return file_.path(); }

 private:
  UniqueFd fd_;
  HeldFile file_;
  HeldFile final_file_;
  bool replaces_;
  bool is_dirty_ = true;                // Written to, or who knows: since it was made durable.
  std::unique_ptr<DataStream> stream_;  // After fd_, which it writes to: it goes first.
};

/// In a tmpfs there is no disk to go to: no write-back to wait for, no direct input and output.
bool is_in_memory(int fd) {
  struct statfs info {};
  return ::fstatfs(fd, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

Result<> refuse_existing(const HeldFile& file) {
  if (file.exists()) return fail_os(EEXIST, "creating " + file.path());
  return {};
}

std::unique_ptr<DumpSink> make_sink(OpenedTemporary opened, const HeldFile& file,
                                    const FileSinkOptions& options) {
  const bool in_memory = is_in_memory(opened.fd.get());
  std::unique_ptr<DataStream> stream;
  if (options.direct && !in_memory)
    stream = open_direct_stream(opened.fd.get(), opened.file.path());
  if (!stream) stream = make_buffered_stream(opened.fd.get(), opened.file.path(), !in_memory);
  return std::make_unique<FileSink>(std::move(opened), file, options.replaces, std::move(stream));
}

}  // namespace

Result<std::unique_ptr<DumpSink>> open_file_sink(const HeldFile& file,
                                                 const FileSinkOptions& options) {
  if (!options.replaces)
    if (auto free = refuse_existing(file); !free) return fail(std::move(free));
  auto opened = create_temporary(file);
  if (!opened) return fail(std::move(opened));
  // The name must survive a power cut as surely as the portions that it holds.
  if (auto synced = file.sync_directory(); !synced) {
    static_cast<void>(opened->file.remove());  // The first error is the one to tell.
    return fail(std::move(synced));
  }
  return make_sink(std::move(*opened), file, options);
}

Result<std::unique_ptr<DumpSink>> open_file_sink(const std::string& path,
                                                 const FileSinkOptions& options) {
  auto file = HeldFile::at(path);
  if (!file) return fail(std::move(file));
  return open_file_sink(*file, options);
}

Result<std::unique_ptr<DumpSink>> reopen_file_sink(const std::string& partial, const HeldFile& file,
                                                   const FileSinkOptions& options) {
  if (auto free = refuse_existing(file); !free) return fail(std::move(free));
  HeldFile there = file.beside(partial);
  auto fd = there.open(O_RDWR);
  if (!fd) return fail(std::move(fd));
  if (auto ours = check_trusted_file(fd->get(), there.path()); !ours) return fail(std::move(ours));
  if (auto free = lock_for_writing(fd->get(), there.path()); !free) return fail(std::move(free));
  return make_sink({std::move(*fd), std::move(there)}, file, options);
}

}  // namespace hadump
