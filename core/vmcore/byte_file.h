// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_handle.h"
#include "core/vmcore/frame_view.h"

namespace hadump {

/// A file of known size to read at any place. Formats sit on top of it, so that each of them can
/// be flattened, and can be tested and fuzzed without a file.
///
/// Threads: every function may be called from several threads at once.
class ByteFile {
 public:
  virtual ~ByteFile() = default;

  virtual std::uint64_t size() const = 0;

  /// Reads exactly out.size() bytes. kBadData past the end; kOs with the errno otherwise.
  virtual Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const = 0;

  /// Maps [offset, offset + bytes) for reading. kUnsupported where there is nothing to map, kOs
  /// where the kernel refuses or a page cannot be had; the caller then reads, which tells the page.
  /// @pre the range lies inside the file.
  virtual Result<MemoryMapping> map(std::uint64_t offset, std::size_t bytes) const = 0;

  /// Whether map() is the cheaper way to bytes that are all looked at, once. It is where mapping
  /// takes no page faults. In the page cache it is not: to enter and to remove each page costs more
  /// than to copy it, and the copy leaves it in the reader's processor cache.
  virtual bool prefers_mapping() const { return false; }

  /// For messages: the path.
  virtual const std::string& name() const = 0;

  /// The file says of itself that its end is missing.
  virtual bool is_truncated() const { return false; }

  /// Where the first byte at or after `offset` is that may be other than zero; size() when there is
  /// none. A file with holes may be any number of times larger than what it holds.
  virtual std::uint64_t next_data(std::uint64_t offset) const { return offset; }

  /// At most so many of its bytes are other than zero.
  virtual std::uint64_t content_bytes() const { return size(); }
};

/// A file of the file system, /proc/vmcore included.
class OpenedFile : public ByteFile {
 public:
  static Result<std::unique_ptr<OpenedFile>> open(const std::string& path);
  /// One that is open already. @param name  for messages.
  static Result<std::unique_ptr<OpenedFile>> take(UniqueFd fd, const std::string& name);

  std::uint64_t size() const override { return size_; }
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override;
  Result<MemoryMapping> map(std::uint64_t offset, std::size_t bytes) const override;
  /// /proc/vmcore: its read() maps and unmaps every page of the old memory by itself.
  bool prefers_mapping() const override { return is_in_proc_; }
  const std::string& name() const override { return name_; }
  std::uint64_t next_data(std::uint64_t offset) const override;

 private:
  OpenedFile(UniqueFd fd, std::uint64_t size, bool is_in_proc, std::string name)
      : fd_(std::move(fd)), size_(size), is_in_proc_(is_in_proc), name_(std::move(name)) {}

  UniqueFd fd_;
  std::uint64_t size_;
  bool is_in_proc_;
  std::string name_;
};

/// Bytes in memory.
class MemoryFile : public ByteFile {
 public:
  explicit MemoryFile(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t size() const override { return bytes_.size(); }
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override;
  Result<MemoryMapping> map(std::uint64_t offset, std::size_t bytes) const override;
  const std::string& name() const override { return name_; }

 private:
  std::vector<std::byte> bytes_;
  std::string name_ = "memory";
};

/// True when [offset, offset + bytes) lies inside a file of `size` bytes, whatever the numbers.
inline constexpr bool fits(std::uint64_t offset, std::uint64_t bytes, std::uint64_t size) {
  return offset <= size && bytes <= size - offset;
}

}  // namespace hadump
