// SPDX-License-Identifier: GPL-2.0-or-later
// Drives the dump engine alone, for measuring: no journal, no releasing.
//
//   dump_bench save SOURCE OUT... [--format kdump|elf|flattened] [--codec C] [--level N] [--workers
//   N]
//                                 [--portion MiB] [--no-direct] [--device MB/s]
//                                 (--device: a target that takes no more than that)
//   dump_bench sample SOURCE CORPUS COPY   fills COPY, a copy of SOURCE, with bytes of CORPUS
//   dump_bench noise MIB OUT      an ELF core of random bytes
//   dump_bench synthetic GIB OUT [busy|left-out|idle]
//                                 a sparse ELF core whose struct pages are generated
//   dump_bench codec SOURCE C     time of the codec alone, one core, pages in memory;
//                                 also "makedumpfile-lzo": the variant that makedumpfile calls
//
// Prints one JSON object.

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <lzo/lzo1x.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/elf_header.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/dump/dump_writer.h"
#include "core/dump/file_sink.h"
#include "core/dump/flattened_sink.h"
#include "core/dump/page_test.h"
#include "core/vmcore/open.h"
#include "core/vmcore/page_classifier.h"
#include "tests/bench/synthetic_core.h"

namespace hadump {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "dump_bench: {}\n", what);
  std::exit(2);
}

template <typename T>
T need(Result<T> result) {
  if (!result) die(result.error().what());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

struct SaveArguments {
  std::string source;
  std::vector<std::string> outputs;
  DumpOptions options;
  bool flat = false;
  FileSinkOptions file;
  std::uint64_t portion = 256_MiB;
  unsigned device_mb_per_s = 0;
};

/// A slow device: what it is given takes its time, counted from when it was last idle.
class SlowSink : public DumpSink {
 public:
  SlowSink(std::unique_ptr<DumpSink> inner, double bytes_per_second)
      : inner_(std::move(inner)), bytes_per_second_(bytes_per_second) {}

  bool can_rewrite() const override { return inner_->can_rewrite(); }
  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    take(bytes.size());
    return inner_->write_data(offset, bytes);
  }
  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    take(bytes.size());
    return inner_->write_table(offset, bytes);
  }
  Result<> make_durable() override { return inner_->make_durable(); }
  Result<> publish(std::uint64_t size) override { return inner_->publish(size); }
  std::string location() const override { return inner_->location(); }

 private:
  void take(std::size_t bytes) {
    free_at_ = std::max(free_at_, Clock::now()) +
               std::chrono::duration_cast<Clock::duration>(
                   std::chrono::duration<double>(static_cast<double>(bytes) / bytes_per_second_));
    std::this_thread::sleep_until(free_at_);
  }

  std::unique_ptr<DumpSink> inner_;
  double bytes_per_second_;
  Clock::time_point free_at_{};
};

unsigned number(const char* text) {
  return static_cast<unsigned>(need(parse_decimal(text)));
}

SaveArguments parse_save(int argc, char** argv) {
  SaveArguments args;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) {
      (args.source.empty() ? args.source : args.outputs.emplace_back()) = word;
      continue;
    }
    if (word == "--no-direct") {
      args.file.direct = false;
      continue;
    }
    if (++i == argc) die(word + " needs a value");
    const std::string value = argv[i];
    if (word == "--format") {
      args.options.format = need(parse_output_format(value));
      args.flat = args.options.format->is_stream;
    } else if (word == "--codec") {
      args.options.codec = need(parse_codec(value));
    } else if (word == "--level") {
      args.options.dump_level = number(argv[i]);
    } else if (word == "--workers") {
      args.options.workers = number(argv[i]);
    } else if (word == "--portion") {
      args.portion = std::uint64_t{number(argv[i])} << 20;
    } else if (word == "--device") {
      args.device_mb_per_s = number(argv[i]);
    } else {
      die("unknown option " + word);
    }
  }
  if (args.source.empty() || args.outputs.empty()) die("save SOURCE OUT...");
  return args;
}

double cpu_seconds(clockid_t clock = CLOCK_THREAD_CPUTIME_ID) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// CPU seconds from here on: of this thread, which does what cannot be shared, and of the workers.
class CpuShares {
 public:
  double caller() const { return cpu_seconds() - caller_; }
  double workers() const { return cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all_ - caller(); }

 private:
  double caller_ = cpu_seconds();
  double all_ = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
};

void print_summary(const DumpSummary& summary, double seconds, const CpuShares& cpu) {
  const DumpProgress& progress = summary.progress;
  std::string classes;
  for (std::uint64_t count : progress.frames_by_class)
    classes += fmt::format("{}{}", classes.empty() ? "" : ",", count);
  std::uint64_t size = 0;
  for (std::uint64_t one : summary.sizes) size += one;
  fmt::print(
      "{{\"seconds\":{:.3f},\"peak_mib\":{:.1f},\"complete\":{},\"frames\":{},\"by_class\":[{}],"
      "\"left_out\":{},\"absent\":{},\"missing\":{},\"compressed\":{},\"bytes_read\":{},"
      "\"bytes_written\":{},\"file_bytes\":{},\"caller_cpu\":{:.3f},\"workers_cpu\":{:.3f}}}\n",
      seconds, peak_mib(), summary.complete, progress.frames_done, classes,
      progress.frames_left_out, progress.frames_absent, progress.frames_missing,
      progress.frames_compressed, progress.bytes_read, progress.bytes_written, size, cpu.caller(),
      cpu.workers());
}

int run_save(SaveArguments args) {
  const auto begin = Clock::now();
  const auto source = need(open_vmcore(args.source));
  std::unique_ptr<PageClassifier> filter;
  if (args.options.dump_level > 1)
    filter = need(PageClassifier::open(*source, args.options.dump_level));
  std::vector<std::unique_ptr<DumpSink>> sinks;
  for (const std::string& path : args.outputs)
    sinks.push_back(args.flat
                        ? need(open_flattened_sink(
                              need(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)), path))
                        : need(open_file_sink(path, args.file)));
  if (args.device_mb_per_s != 0)
    for (auto& sink : sinks)
      sink = std::make_unique<SlowSink>(std::move(sink), args.device_mb_per_s * 1e6);
  auto writer = need(DumpWriter::create(*source, filter.get(), source->layout().frames,
                                        args.options, std::move(sinks)));
  const CpuShares cpu;
  for (FrameSet portion; !(portion = writer->next_portion(args.portion)).empty();) {
    need(writer->write_portion(portion));
    if (auto durable = writer->make_durable(); !durable && !args.flat) die(durable.error().what());
  }
  const DumpSummary summary = need(writer->finish());
  print_summary(summary, seconds_since(begin), cpu);
  return 0;
}

/// What makedumpfile calls for every page with -l, to compare codecs alone.
class MakedumpfileLzo : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    lzo_uint size = 0;
    static_cast<void>(lzo1x_1_compress(reinterpret_cast<const unsigned char*>(page.data()),
                                       page.size(), reinterpret_cast<unsigned char*>(out.data()),
                                       &size, work_.data()));
    return size;
  }

 private:
  std::vector<unsigned char> work_ = std::vector<unsigned char>(LZO1X_1_MEM_COMPRESS);
};

/// The codec's own limit: every page that is not zero, from memory, with nothing else; in CPU
/// seconds, so that other load does not count.
int run_codec(const std::string& path, const std::string& codec) {
  const auto source = need(open_vmcore(path));
  const auto compressor = codec == "makedumpfile-lzo"
                              ? std::make_unique<MakedumpfileLzo>()
                              : need(make_compressor(need(parse_codec(codec))));
  const bool skip_zeros = codec != "makedumpfile-lzo";
  constexpr std::uint64_t kBatch = 256;
  std::vector<std::byte> pages(kBatch * kFrameSize);
  std::vector<FrameStatus> status(kBatch);
  std::vector<std::byte> out(kMaxCompressedPage);
  std::uint64_t in_bytes = 0, out_bytes = 0, zero_bytes = 0;
  double seconds = 0;
  for (FrameRange range : source->layout().frames.ranges())
    for (Gfn at = range.begin; at < range.end; at.value += kBatch) {
      const auto count = static_cast<std::size_t>(std::min(kBatch, range.end.value - at.value));
      need(source->read(at, std::span(pages).first(count * kFrameSize),
                        std::span(status).first(count)));
      const double begin = cpu_seconds();
      for (std::size_t i = 0; i < count; ++i) {
        const auto page = std::span(pages).subspan(i * kFrameSize, kFrameSize);
        in_bytes += kFrameSize;
        if (skip_zeros && is_zero_page(page)) {
          zero_bytes += kFrameSize;
          continue;
        }
        out_bytes += std::min(compressor->compress(page, out), kFrameSize);
      }
      seconds += cpu_seconds() - begin;
    }
  fmt::print("{{\"seconds\":{:.3f},\"in\":{},\"out\":{},\"zero\":{},\"mb_per_s\":{:.1f}}}\n",
             seconds, in_bytes, out_bytes, zero_bytes,
             static_cast<double>(in_bytes) / seconds / 1e6);
  return 0;
}

/// A copy of a real vmcore whose page cache, user memory and part of the free memory hold real
/// files: make-vmcore's guests fill them with zeros and noise, which no codec has work with. The
/// kernel's own pages stay as they are, so that every level filters as before.
int run_sample(const std::string& path, const std::string& corpus_path, const std::string& to) {
  constexpr std::uint64_t kFreeFramesLeft = 200 << 10;  // 0.8 GiB, as a busy machine has
  const auto source = need(open_vmcore(path));
  const auto filter = need(PageClassifier::open(*source));
  const auto corpus = need(open_file(corpus_path, O_RDONLY));
  const auto out = need(open_file(to, O_WRONLY, 0));
  std::uint64_t corpus_at = 0;
  std::uint64_t free_frames = 0;
  std::uint64_t filled = 0;
  const auto fill = [&](Gfn gfn) {
    std::array<std::byte, kFrameSize> page;
    std::array<FrameStatus, 1> status{};
    need(source->read(gfn, page, status));
    if (!is_zero_page(page) && !looks_incompressible(page)) return;
    if (!read_exactly_at(corpus.get(), page, corpus_at, corpus_path)) {
      corpus_at = 0;
      need(read_exactly_at(corpus.get(), page, corpus_at, corpus_path));
    }
    corpus_at += kFrameSize;
    ++filled;
    for (const LoadSegment& segment : source->layout().segments)
      if (segment.phys <= address_of(gfn) &&
          address_of(gfn).value - segment.phys.value + kFrameSize <= segment.file_bytes)
        need(write_all_at(out.get(), page,
                          segment.file_offset + address_of(gfn).value - segment.phys.value, to));
  };
  std::vector<PageRun> runs;
  for (FrameRange range : source->layout().frames.ranges()) need(filter->classify(range, runs));
  for (const PageRun& run : runs)
    for (Gfn gfn = run.frames.begin; gfn < run.frames.end; ++gfn.value) {
      const bool is_free = run.page_class == PageClass::kFree;
      if (is_free && free_frames++ < kFreeFramesLeft) continue;
      if (is_free || run.page_class == PageClass::kUser ||
          run.page_class == PageClass::kCacheNonPrivate ||
          run.page_class == PageClass::kCachePrivate)
        fill(gfn);
    }
  fmt::print("{{\"filled\":{}}}\n", filled);
  return 0;
}

/// An ELF core of one range of noise, which no codec can shrink.
int run_noise(std::uint64_t mib, const std::string& path) {
  const auto out = need(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  const Elf64_Ehdr header = make_elf_header(ET_CORE, 1);
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_offset = kFrameSize;
  segment.p_paddr = 1_MiB;
  segment.p_filesz = segment.p_memsz = mib << 20;
  std::vector<std::uint64_t> noise(1_MiB / sizeof(std::uint64_t));
  std::memcpy(noise.data(), &header, sizeof(header));
  std::memcpy(reinterpret_cast<std::byte*>(noise.data()) + sizeof(header), &segment,
              sizeof(segment));
  need(write_all(out.get(), std::as_bytes(std::span(noise)).first(kFrameSize), path));
  std::mt19937_64 random(1);
  for (std::uint64_t i = 0; i < mib; ++i) {
    for (std::uint64_t& word : noise) word = random();
    need(write_all(out.get(), std::as_bytes(std::span(noise)), path));
  }
  return 0;
}

int run_synthetic(std::uint64_t gibibytes, const std::string& path, const std::string& mix) {
  const std::uint64_t kept = need(
      make_synthetic_core(path, gibibytes,
                          mix == "busy"       ? SyntheticMix::kBusy
                          : mix == "left-out" ? SyntheticMix::kLeftOut
                          : mix == "idle"     ? SyntheticMix::kIdle
                                              : (die("no such mix: " + mix), SyntheticMix::kBusy)));
  fmt::print("{{\"frames\":{},\"kept\":{}}}\n", gibibytes << (30 - kFrameShift), kept);
  return 0;
}

int run(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "save") return run_save(parse_save(argc, argv));
  if (command == "codec" && argc == 4) return run_codec(argv[2], argv[3]);
  if (command == "sample" && argc == 5) return run_sample(argv[2], argv[3], argv[4]);
  if (command == "noise" && argc == 4) return run_noise(number(argv[2]), argv[3]);
  if (command == "synthetic" && (argc == 4 || argc == 5))
    return run_synthetic(number(argv[2]), argv[3], argc == 5 ? argv[4] : "left-out");
  die("save SOURCE OUT... | noise MIB OUT | synthetic GIB OUT [MIX] | sample SOURCE CORPUS COPY | "
      "codec SOURCE CODEC");
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  return hadump::run(argc, argv);
}
