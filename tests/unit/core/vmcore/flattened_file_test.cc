// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/flattened_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/base/endian.h"
#include "tests/unit/core/vmcore/kdump_builder.h"

namespace hadump {
namespace {

class CountedFile : public MemoryFile {
 public:
  CountedFile(std::vector<std::byte> bytes, std::uint64_t* reads)
      : MemoryFile(std::move(bytes)), reads_(reads) {}
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override {
    if (reads_ != nullptr) ++*reads_;
    return MemoryFile::read_at(out, offset);
  }

 private:
  std::uint64_t* reads_;
};

/// A flattened file, record by record, and what it must read as.
class Records {
 public:
  Records() : flat_(flatten({}, 1)) { flat_.resize(4096); }

  Records& add(std::uint64_t offset, std::size_t bytes) {
    put(offset, bytes);
    expected.resize(std::max<std::size_t>(expected.size(), offset + bytes));
    for (std::size_t i = 0; i < bytes; ++i) {
      flat_.push_back(static_cast<std::byte>(++next_));
      expected[offset + i] = flat_.back();
    }
    return *this;
  }
  /// @param reads  counts how often the file is read, if it is given.
  std::unique_ptr<FlattenedFile> open(std::uint64_t* reads = nullptr) {
    const auto without_end = flat_.size();
    put(~std::uint64_t{0}, ~std::uint64_t{0});
    auto file = FlattenedFile::open(std::make_unique<CountedFile>(flat_, reads));
    flat_.resize(without_end);
    if (!file) std::abort();
    return std::move(*file);
  }

  std::vector<std::byte> expected;

 private:
  void put(std::uint64_t offset, std::uint64_t bytes) {
    for (const be64 word : {be64(offset), be64(bytes)}) {
      const auto raw = std::as_bytes(std::span(&word, 1));
      flat_.insert(flat_.end(), raw.begin(), raw.end());
    }
  }

  std::vector<std::byte> flat_;
  unsigned next_ = 0;
};

std::vector<std::byte> all_of(const FlattenedFile& file) {
  std::vector<std::byte> bytes(file.size());
  EXPECT_TRUE(file.read_at(bytes, 0));
  return bytes;
}

// Our own dumps: a record for every chunk of pages, each directly after the last. With an index
// entry for each of them, this file would be refused.
TEST(FlattenedFile, TakesMoreConsecutiveRecordsThanItsIndexMayHaveEntries) {
  Records records;
  for (std::size_t i = 0; i <= kMaxFlatExtents; ++i) records.add(i, 1);
  EXPECT_EQ(all_of(*records.open()), records.expected);
}

// A page of many records may be asked for as often as there are pages.
TEST(FlattenedFile, ReadsSmallRecordsManyAtATime) {
  Records records;
  for (std::size_t i = 0; i < 4096; ++i) records.add(i, 1);
  std::uint64_t reads = 0;
  const auto file = records.open(&reads);
  reads = 0;
  EXPECT_EQ(all_of(*file), records.expected);
  EXPECT_LE(reads, 200U) << "two for each record were too many";
}

TEST(FlattenedFile, ReadsAcrossRecordsThatShareAnEntry) {
  Records records;
  for (std::size_t i = 0; i < 100 * kFlatRunRecords; ++i) records.add(i * 3, 3);
  const auto file = records.open();
  EXPECT_EQ(all_of(*file), records.expected);
  for (std::size_t at = 0; at + 7 <= file->size(); at += 101) {
    std::array<std::byte, 7> part{};
    ASSERT_TRUE(file->read_at(part, at));
    ASSERT_EQ(std::memcmp(part.data(), records.expected.data() + at, part.size()), 0) << at;
  }
}

TEST(FlattenedFile, KeepsATerabyteInAFewThousandEntriesAndTakesMoreThanTwo) {
  constexpr std::uint64_t kRecordsPerTebibyte = (std::uint64_t{1} << 40) / 512_KiB;
  EXPECT_LE(kRecordsPerTebibyte / kFlatRunRecords, 32768u);
  EXPECT_GE(kMaxFlatRecords / kRecordsPerTebibyte, 128u);
  EXPECT_GE(kMaxFlatExtents / (kRecordsPerTebibyte / kFlatRunRecords), 128u);
}

TEST(FlattenedFile, ReadsAsTheRecordsSayHoweverTheyOverlap) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    Records records;
    std::uint64_t next = 0;
    for (unsigned i = 0; i < 400; ++i) {
      if (random() % 8 == 0) next = random() % 2000;  // else it follows the record before
      const std::size_t bytes = 1 + random() % (random() % 16 == 0 ? 300 : 20);
      records.add(next, bytes);
      next += bytes;
    }
    ASSERT_EQ(all_of(*records.open()), records.expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace hadump
