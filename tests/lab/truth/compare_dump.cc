// SPDX-License-Identifier: GPL-2.0-or-later
// compare-dump TRUTH DUMP [--kdumpfile]
//
// Compares a saved dump with what take-truth saw, frame by frame, and prints JSON.  Frame lists are
// half-open ranges, ["0x…", "0x…"], the first kMaxListed of each; "explained" ones, with the
// reason, are those that Xen itself has written to (xen_frames.h).  --kdumpfile reads ELF files
// through libkdumpfile as well. compare-dump --dumps DUMP DUMP does the same with a first dump in
// the truth's place. compare-dump --frame DUMP 0xFRAME writes that frame's bytes to standard
// output. Exit status: 0 equal or explained, 1 not, 2 not comparable.

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/lab/truth/dump_reader.h"
#include "tests/lab/truth/truth_file.h"
#include "tests/lab/truth/xen_frames.h"

namespace hadump::lab {
namespace {

constexpr std::size_t kMaxListed = 1000;

std::vector<TruthRecord> read_truth(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) throw std::runtime_error(path + ": cannot be opened");
  TruthHeader header{};
  std::vector<TruthRecord> records;
  bool good = std::fread(&header, sizeof(header), 1, file) == 1 &&
              std::memcmp(header.magic, kTruthMagic, sizeof(kTruthMagic)) == 0;
  if (good) {
    records.resize(header.frames);
    good = std::fread(records.data(), sizeof(TruthRecord), records.size(), file) == records.size();
  }
  static_cast<void>(std::fclose(file));
  if (!good) throw std::runtime_error(path + ": not a truth file, or cut short");
  return records;
}

using Kept = std::map<std::uint64_t, std::array<std::byte, kFrameSize>>;

/// What was kept beside a truth file; nothing when there is none.
Kept read_kept(const std::string& path) {
  Kept kept;
  std::FILE* file = std::fopen((path + ".kept").c_str(), "r");
  if (file == nullptr) return kept;
  for (KeptFrame frame; std::fread(&frame, sizeof(frame), 1, file) == 1;)
    std::memcpy(kept[frame.frame].data(), frame.bytes, kFrameSize);
  static_cast<void>(std::fclose(file));
  return kept;
}

/// What a dump holds, as if it had been seen in a domain.
std::vector<TruthRecord> truth_of(DumpReader& dump) {
  std::vector<TruthRecord> records;
  std::array<std::byte, kFrameSize> bytes{};
  for (std::uint64_t frame = 0; frame < dump.end(); ++frame)
    if (dump.read(frame, bytes)) records.push_back({frame, frame_hash(bytes)});
  return records;
}

/// Counts frames and joins neighbours.
class FrameList {
 public:
  void add(std::uint64_t frame) {
    ++count_;
    if (!ranges_.empty() && ranges_.back().second == frame)
      ++ranges_.back().second;
    else
      ranges_.emplace_back(frame, frame + 1);
  }

  std::size_t count() const { return count_; }

  void print(const char* name) const {
    std::printf(",\n \"%s\": %zu, \"%s_frames\": [", name, count_, name);
    for (std::size_t i = 0; i < ranges_.size() && i < kMaxListed; ++i)
      std::printf("%s[\"%#" PRIx64 "\", \"%#" PRIx64 "\"]", i == 0 ? "" : ", ", ranges_[i].first,
                  ranges_[i].second);
    std::printf("]");
  }

 private:
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges_;
  std::size_t count_ = 0;
};

struct Comparison {
  std::size_t frames = 0;
  std::size_t equal = 0;
  FrameList different;
  FrameList missing;
  FrameList extra;
  std::vector<std::pair<std::uint64_t, const char*>> explained;

  bool same() const { return different.count() + missing.count() + extra.count() == 0; }

  void print() const {
    std::printf("{\"frames\": %zu, \"equal\": %zu", frames, equal);
    different.print("different");
    missing.print("missing");
    extra.print("extra");
    std::printf(",\n \"explained\": %zu, \"explained_frames\": [", explained.size());
    for (const auto& [frame, why] : explained)
      std::printf("%s[\"%#" PRIx64 "\", \"%s\"]", frame == explained.front().first ? "" : ", ",
                  frame, why);
    std::printf("]}\n");
  }
};

std::optional<const char*> explain(const TruthRecord& record, FrameBytes now, const Kept& kept) {
  const auto before = kept.find(record.frame);
  return before != kept.end() ? explain_kept(record.frame, before->second, now)
                              : explain_vcpu_info(record.hash, now);
}

Comparison compare(const std::vector<TruthRecord>& truth, DumpReader& dump, const Kept& kept = {}) {
  Comparison result;
  result.frames = truth.size();
  std::array<std::byte, kFrameSize> bytes{};
  std::uint64_t expected = 0;  // Frames before this one are dealt with.
  const auto note_extra = [&](std::uint64_t end) {
    for (; expected < end; ++expected)
      if (dump.read(expected, bytes)) result.extra.add(expected);
  };
  for (const TruthRecord& record : truth) {
    note_extra(std::min(record.frame, dump.end()));
    expected = record.frame + 1;
    if (!dump.read(record.frame, bytes))
      result.missing.add(record.frame);
    else if (frame_hash(bytes) == record.hash)
      ++result.equal;
    else if (const auto why = explain(record, bytes, kept))
      result.explained.emplace_back(record.frame, *why);
    else
      result.different.add(record.frame);
  }
  note_extra(dump.end());
  return result;
}

int write_frame(const std::string& path, const char* number) {
  std::array<std::byte, kFrameSize> bytes{};
  if (!open_dump(path)->read(std::strtoull(number, nullptr, 0), bytes))
    throw std::runtime_error(std::string("the dump has no frame ") + number);
  return std::fwrite(bytes.data(), bytes.size(), 1, stdout) == 1 ? 0 : 2;
}

}  // namespace
}  // namespace hadump::lab

int main(int argc, char** argv) try {
  using namespace hadump::lab;
  if (argc < 3) throw std::runtime_error("usage: compare-dump TRUTH DUMP [--kdumpfile]");
  if (argc == 4 && std::strcmp(argv[1], "--frame") == 0) return write_frame(argv[2], argv[3]);
  if (argc == 4 && std::strcmp(argv[1], "--dumps") == 0) {
    const auto dump = open_dump(argv[3]);
    const Comparison result = compare(truth_of(*open_dump(argv[2])), *dump);
    result.print();
    return result.same() ? 0 : 1;
  }
  const bool kdumpfile = argc > 3 && std::strcmp(argv[3], "--kdumpfile") == 0;
  const auto dump = kdumpfile ? open_kdumpfile(argv[2]) : open_dump(argv[2]);
  const Comparison result = compare(read_truth(argv[1]), *dump, read_kept(argv[1]));
  result.print();
  return result.same() ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "compare-dump: %s\n", error.what());
  return 2;
}
