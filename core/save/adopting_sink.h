// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/held_file.h"
#include "core/base/unique_handle.h"
#include "core/dump/sink.h"

namespace hadump {

/// Goes on with a partial dump in place. The writer is made to produce the dump from its start
/// again; what the file holds already is not written but compared. Then commit() writes those
/// tables that differ, and from there on this is an ordinary file.
///
/// The file is not changed before commit(): whatever goes wrong until then, it is as it was, and
/// the caller can begin a new file instead.
class AdoptingSink : public DumpSink {
 public:
  /// @param inner    writes to the same file.
  /// @param partial  the file, to compare with.
  static Result<std::unique_ptr<AdoptingSink>> open(std::unique_ptr<DumpSink> inner,
                                                    const HeldFile& partial);

  /// The part that was there is passed. What follows it is cut off: it is of a portion that
  /// was not finished. @return the errors of writing tables.
  Result<> commit();
  Result<> end_adoption() override { return commit(); }

  bool can_rewrite() const override { return true; }
  /// Before commit(): kBadData when the file has something else there.
  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<DataRoom> begin_data(std::uint64_t offset, std::size_t bytes) override {
    return committed_ ? inner_->begin_data(offset, bytes) : DataRoom{};
  }
  void end_data(const DataRoom& room) override { inner_->end_data(room); }
  /// Before commit(): kBadData when too much differs to be kept in memory (kMaxPendingBytes).
  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<> make_durable() override;
  Result<> publish(std::uint64_t size) override;
  std::string location() const override { return inner_->location(); }

  /// The bitmap of left-out pages differs until it is passed: 32 MiB for a terabyte.
  static constexpr std::uint64_t kMaxPendingBytes = 128U << 20;

 private:
  AdoptingSink(std::unique_ptr<DumpSink> inner, UniqueFd fd)
      : inner_(std::move(inner)), fd_(std::move(fd)) {}
  Result<> read_existing(std::uint64_t offset, std::size_t bytes);
  void forget_pending(std::uint64_t begin, std::uint64_t end);
  void put_pending(std::uint64_t offset, std::span<const std::byte> bytes);

  std::unique_ptr<DumpSink> inner_;
  UniqueFd fd_;
  bool committed_ = false;
  std::uint64_t data_end_ = 0;  ///< Behind the last data that was compared.
  /// What the writer has put into tables and the file has not: offset, bytes; disjoint. A table
  /// that is rewritten until it says what the file says leaves nothing here, so this stays small.
  std::map<std::uint64_t, std::vector<std::byte>> pending_;
  std::uint64_t pending_bytes_ = 0;
  std::vector<std::byte> existing_;
};

}  // namespace hadump
