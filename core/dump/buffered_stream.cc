// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/file.h"
#include "core/dump/data_stream.h"
#include "core/dump/file_sink.h"

namespace hadump {
namespace {

/// Two halves: one is being filled while the other is on its way to the disk.
constexpr std::uint64_t kHalf = kMaxDirtyBytes / 2;

class BufferedStream : public DataStream {
 public:
  BufferedStream(int fd, std::string name, bool write_behind)
      : fd_(fd), name_(std::move(name)), write_behind_(write_behind) {}

  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset < end_)
      if (auto back = go_back(offset); !back) return back;
    if (bytes.empty()) return {};
    end_ = offset + bytes.size();  // Of what may be there, also when it fails.
    if (auto written = write_all_at(fd_, bytes, offset, name_); !written) return written;
    if (write_behind_) limit_dirty(offset, offset + bytes.size());
    return {};
  }

  Result<> flush() override { return {}; }

 private:
  struct Extent {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  Result<> go_back(std::uint64_t offset) {
    end_ = offset;
    filling_ = {};
    struct stat info {};
    if (::fstat(fd_, &info) != 0) return fail_os(errno, "looking at " + name_);
    if (info.st_size <= static_cast<off_t>(offset)) return {};
    return ::ftruncate(fd_, static_cast<off_t>(offset)) == 0 ? Result<>()
                                                             : fail_os(errno, "cutting " + name_);
  }

  /// Errors are ignored here: this is about when the disk writes; fdatasync() says whether it did.
  void limit_dirty(std::uint64_t begin, std::uint64_t end) {
    if (begin != filling_.end || filling_.begin == filling_.end) {
      start(filling_);
      filling_.begin = begin;
    }
    filling_.end = end;
    if (filling_.end - filling_.begin < kHalf) return;
    start(filling_);
    finish(in_flight_);
    in_flight_ = std::exchange(filling_, Extent{end, end});
  }

  void start(Extent extent) const {
    static_cast<void>(::sync_file_range(fd_, static_cast<off64_t>(extent.begin),
                                        static_cast<off64_t>(extent.end - extent.begin),
                                        SYNC_FILE_RANGE_WRITE));
  }

  void finish(Extent extent) const {
    if (extent.begin == extent.end) return;
    const auto begin = static_cast<off64_t>(extent.begin);
    const auto length = static_cast<off64_t>(extent.end - extent.begin);
    static_cast<void>(::sync_file_range(
        fd_, begin, length,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
    static_cast<void>(::posix_fadvise(fd_, begin, length, POSIX_FADV_DONTNEED));
  }

  int fd_;
  std::string name_;
  bool write_behind_;
  std::uint64_t end_ = 0;
  Extent filling_;
  Extent in_flight_;
};

}  // namespace

std::unique_ptr<DataStream> make_buffered_stream(int fd, std::string name, bool write_behind) {
  return std::make_unique<BufferedStream>(fd, std::move(name), write_behind);
}

}  // namespace hadump
