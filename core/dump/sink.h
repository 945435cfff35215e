// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Room for page data in a sink's buffers. Part of the first comes first.
struct DataRoom {
  struct Part {
    std::span<std::byte> bytes;
    unsigned buffer = 0;  ///< The sink's own number for it.
  };
  std::array<Part, 2> parts;

  bool empty() const { return parts[0].bytes.empty(); }
};

/// Most that begin_data() is asked for.
inline constexpr std::size_t kMaxRoomBytes = 512 << 10;

/// Where the bytes of one dump file go.
///
/// Implementations: FileSink (file_sink.h), FlattenedSink (flattened_sink.h), MemorySink
/// (tests/unit/core/dump/memory_sink.h), which can fail at a given byte.
///
/// Threads: one at a time, except for end_data().
class DumpSink {
 public:
  virtual ~DumpSink() = default;

  /// False when what was written cannot be written again (a pipe): the format then writes every
  /// byte once, and tables after the data they describe.
  virtual bool can_rewrite() const = 0;

  /// Page data. Mostly ascending, but may go forward over a hole, or back after a failure.
  /// The bytes are copied or written before this returns; they may still be on their way to disk.
  ///
  /// Going back makes what was written from `offset` on void, and its errors too. With no bytes at
  /// all, that is all that is asked for.
  /// @return kNoSpace, kOs. After a failure of either write function the contents of the range
  ///         that was to be written are unspecified, everything before it is as it was.
  virtual Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  /// As write_data(), but the bytes come later: whoever calls this hands out room in the order of
  /// the file, and any threads fill it. Errors are told by a later call. Until end_data() was
  /// called for all of it, nothing but write_data() with bytes and begin_data() may be.
  /// @param bytes  1 to kMaxRoomBytes.
  /// @return empty when this sink takes data by write_data() only.
  virtual Result<DataRoom> begin_data(std::uint64_t /*offset*/, std::size_t /*bytes*/) {
    return DataRoom{};
  }

  /// The room is filled. From any thread, while others use the sink.
  virtual void end_data(const DataRoom& /*room*/) {}

  /// Headers and tables: small, anywhere outside the blocks (4096 bytes) that hold page data.
  virtual Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  /// Returns when everything written so far is safe from a power cut. A sink that cannot promise
  /// that says kUnsupported: what it was given must then not be released.
  /// kNoSpace: some of what came since the last success did not fit; what is older is unharmed, and
  /// whoever writes all of the rest again may go on. After any other error nobody may.
  virtual Result<> make_durable() = 0;

  /// For a sink that continues a partial file: all that the file held has been passed, and what is
  /// written from now on is new.
  virtual Result<> end_adoption() { return {}; }

  /// Makes the file appear under its final name, durably. Called once, last, when it is whole.
  /// A sink that is destroyed without this leaves the partial file, under its temporary name.
  /// @param size  of the dump in bytes; anything after it (preallocation) is cut off.
  virtual Result<> publish(std::uint64_t size) = 0;

  /// Where the bytes are now, for messages: the temporary path, after publish() the final one.
  virtual std::string location() const = 0;
};

}  // namespace hadump
