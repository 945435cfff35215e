// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/base/error.h"
#include "core/dump/sink.h"

namespace hadump {

/// How page data gets into a file: through the page cache, or around it.
/// Threads: one at a time, except for end().
class DataStream {
 public:
  virtual ~DataStream() = default;

  /// As DumpSink::write_data(). An error of an earlier write may come out here, but going back
  /// (also by an empty write) forgets the errors of what followed `offset`, and gives its space
  /// back to the file system.
  virtual Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  /// As DumpSink::begin_data() and end_data().
  virtual Result<DataRoom> begin(std::uint64_t /*offset*/, std::size_t /*bytes*/) {
    return DataRoom{};
  }
  virtual void end(const DataRoom& /*room*/) {}

  /// Returns when everything has been handed to the file system; fdatasync() is the caller's.
  virtual Result<> flush() = 0;

  /// Gives back to the file system what was allocated ahead of the data, and does so no more:
  /// something else needs the space. @return false when there was nothing.
  virtual bool give_back_space() { return false; }
};

/// Ordinary writes.
/// @param fd           borrowed; must outlive the stream.
/// @param write_behind start write-back early and wait for it, so that at most kMaxDirtyBytes are
///                     dirty, and drop what is clean.
std::unique_ptr<DataStream> make_buffered_stream(int fd, std::string name, bool write_behind);

/// O_DIRECT through io_uring, with preallocation: while the stream lives, and after a process that
/// was killed, the file may be up to 64 MiB longer than what was written; that reads as zeros.
/// @param fd  borrowed; its file is opened a second time for this.
/// @return null where the file system or the kernel does not offer it.
std::unique_ptr<DataStream> open_direct_stream(int fd, const std::string& name);

}  // namespace hadump
