// SPDX-License-Identifier: GPL-2.0-or-later
// take-truth DOMID TRUTH MEMORY_MIB [RAW]
//
// Reads every frame of a paused or crashed domain and writes one hash for each that is there.  The
// comparison of a dump with it shows what the dump path changed, lost or made up.  Nothing here is
// shared with the product, so that a bug there is not a bug here as well.
//
// Of a PV domain, frames have the guest's own numbers, and its page tables are read as if they had
// them, too: a dump has to be such.
//
// TRUTH.kept gets the bytes of the few frames that Xen itself may still write to (xen_frames.h).
// RAW, if given, gets all frames as a sparse file, for looking at differences.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/lab/truth/domain_frames.h"
#include "tests/lab/truth/pv_frames.h"
#include "tests/lab/truth/truth_file.h"
#include "tests/lab/truth/xen_frames.h"

namespace hadump::lab {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "take-truth: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(2);
}

File create(const std::string& path) {
  File file(std::fopen(path.c_str(), "w"));
  if (!file) die(path);
  return file;
}

class TruthTaker {
 public:
  TruthTaker(std::uint32_t domid, const std::string& path, const char* raw)
      : domid_(domid), path_(path), kept_(create(path + ".kept")) {
    foreign_.reset(xenforeignmemory_open(nullptr, 0));
    if (!foreign_) die("opening foreign memory");
    if (raw != nullptr) raw_ = create(raw);
    is_pv_ = pv_.open(domid);
  }

  /// Of a guest of that size.
  void scan_all(std::uint64_t memory_mib) {
    if (!is_pv_) {
      for_each_batch(memory_mib,
                     [this](std::uint64_t first, std::size_t count) { scan(first, count); });
      return;
    }
    for (std::uint64_t first = 0; first < pv_.count(); first += kBatch)
      scan(first, std::min<std::size_t>(kBatch, pv_.count() - first));
  }

 private:
  /// A batch of frames.
  void scan(std::uint64_t first, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      frames_[i] = is_pv_ ? pv_.machine_frame(first + i) : first + i;
    void* mapped = xenforeignmemory_map(foreign_.get(), domid_, PROT_READ, count, frames_.data(),
                                        errors_.data());
    if (mapped == nullptr) {
      absent_[errno] += count;  // Not one frame of the batch is there.
      return;
    }
    const auto* bytes = static_cast<const std::byte*>(mapped);
    for (std::size_t i = 0; i < count; ++i) {
      if (errors_[i] != 0) {
        ++absent_[std::abs(errors_[i])];
        continue;
      }
      FrameBytes frame(bytes + i * kFrameSize, kFrameSize);
      if (is_pv_ && pv_.level(first + i) != 0) frame = renumbered(first + i, frame);
      records_.push_back({first + i, frame_hash(frame)});
      if (raw_) put_raw(first + i, frame);
      if (may_be_xens(first + i, frame)) keep(first + i, frame);
    }
    xenforeignmemory_unmap(foreign_.get(), mapped, count);
  }

 public:
  void write() const {
    const File file = create(path_);
    TruthHeader header{};
    std::memcpy(header.magic, kTruthMagic, sizeof(header.magic));
    header.frames = records_.size();
    if (std::fwrite(&header, sizeof(header), 1, file.get()) != 1 ||
        std::fwrite(records_.data(), sizeof(TruthRecord), records_.size(), file.get()) !=
            records_.size() ||
        std::fflush(file.get()) != 0 || std::fflush(kept_.get()) != 0)
      die(path_);
  }

  void report(double seconds) const {
    std::printf("{\"present\": %zu, \"seconds\": %.2f, \"absent\": {", records_.size(), seconds);
    const char* separator = "";
    for (const auto& [error, count] : absent_) {
      std::printf("%s\"%s\": %zu", separator, std::strerror(error), count);
      separator = ", ";
    }
    std::printf("}}\n");
  }

 private:
  FrameBytes renumbered(std::uint64_t number, FrameBytes frame) {
    std::memcpy(table_.data(), frame.data(), frame.size());
    pv_.renumber(table_, pv_.level(number));
    return FrameBytes(reinterpret_cast<const std::byte*>(table_.data()), kFrameSize);
  }

  void keep(std::uint64_t number, FrameBytes frame) const {
    if (std::fwrite(&number, sizeof(number), 1, kept_.get()) != 1 ||
        std::fwrite(frame.data(), frame.size(), 1, kept_.get()) != 1)
      die("writing the kept frames");
  }

  void put_raw(std::uint64_t number, FrameBytes frame) const {
    // A copy: writing foreign pages straight to some file systems fails with EFAULT.
    std::array<std::byte, kFrameSize> copy;
    std::copy(frame.begin(), frame.end(), copy.begin());
    if (::pwrite(fileno(raw_.get()), copy.data(), copy.size(),
                 static_cast<off_t>(number * kFrameSize)) != static_cast<ssize_t>(copy.size()))
      die("writing the raw file");
  }

  std::uint32_t domid_;
  std::string path_;
  Foreign foreign_;
  File kept_;
  File raw_;
  std::array<xen_pfn_t, kBatch> frames_{};
  std::array<int, kBatch> errors_{};
  PvFrames pv_;
  bool is_pv_ = false;
  std::array<std::uint64_t, kFrameSize / sizeof(std::uint64_t)> table_{};
  std::vector<TruthRecord> records_;
  std::map<int, std::size_t> absent_;  // errno -> frames
};

}  // namespace
}  // namespace hadump::lab

int main(int argc, char** argv) try {
  using namespace hadump::lab;
  if (argc < 4) {
    std::fprintf(stderr, "usage: take-truth DOMID TRUTH MEMORY_MIB [RAW]\n");
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  TruthTaker taker(static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)), argv[2],
                   argc > 4 ? argv[4] : nullptr);
  taker.scan_all(std::strtoull(argv[3], nullptr, 10));
  taker.write();
  taker.report(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "take-truth: %s\n", error.what());
  return 2;
}
