// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/vmcore/address_space.h"

namespace hadump {

inline constexpr std::uint64_t kMaxLogRecords = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxLogTextBytes = 64_MiB;

/// One record of the kernel's log.
struct LogRecord {
  std::uint64_t time_ns = 0;  ///< Since the boot.
  std::string text;           ///< Whatever bytes the kernel was given, one or more lines.
};

/// The lockless ring of v5.10 and later (SYMBOL(prb); 896fbe20b4e2 "printk: use the lockless
/// ringbuffer"). Needs little memory: a page of each of its arrays.
///
/// Threads: one at a time. The address space is borrowed.
class LogRing {
 public:
  /// @return kNotFound when VMCOREINFO lacks the ring's keys (older kernels); kBadData for sizes
  ///         beyond the limits above or when the ring is not in the dump.
  static Result<LogRing> open(const AddressSpace& space, const Vmcoreinfo& info);
  LogRing(LogRing&& other) noexcept;
  ~LogRing();

  /// However the ring is damaged, at most kMaxLogRecords.
  std::uint64_t records() const;
  /// The text is empty for a record that was being written at the moment of the crash, or that is
  /// damaged. @param index  0 is the oldest. @pre index < records().
  /// @return kBadData when it is not in the dump.
  Result<LogRecord> record(std::uint64_t index);

 private:
  struct Ring;
  explicit LogRing(std::unique_ptr<Ring> ring);
  static Result<std::unique_ptr<Ring>> read_ring(const AddressSpace& space, const Vmcoreinfo& info,
                                                 GuestVirt symbol);
  Result<std::string> text_of(std::uint64_t id, std::span<const std::byte> info);

  std::unique_ptr<Ring> ring_;
};

}  // namespace hadump
