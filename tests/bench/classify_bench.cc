// SPDX-License-Identifier: GPL-2.0-or-later
// Classification of a machine of any size: makes a sparse ELF core whose struct pages are generated
// and classifies all of it. Usage: classify_bench FILE TEBIBYTES [THREADS]
//
// Prints seconds per TiB of (made-up) memory, beside what reading the same struct pages takes when
// nothing is done with them, and the peak resident size.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "core/vmcore/open.h"
#include "core/vmcore/page_classifier.h"
#include "tests/bench/synthetic_core.h"

namespace hadump {
namespace {

double cpu_seconds() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// As many bytes as the struct pages of `sections` have, in the same pieces and in turn from the
// same places: copied out of the file, and a word of each cache line added up.
double read_structs(const VmcoreSource& source, const PageClassifier& classifier,
                    std::uint64_t sections) {
  constexpr std::uint64_t kPiece = 2_MiB / kFrameSize;  // the struct pages of a section
  std::vector<FrameRange> pieces;
  const FrameUses uses = classifier.metadata_uses();
  for (const FrameUse& use : uses.uses())
    for (Gfn at = use.frames.begin; at.value + kPiece <= use.frames.end.value; at.value += kPiece)
      pieces.push_back({at, Gfn{at.value + kPiece}});
  if (pieces.empty()) std::abort();
  const double before = cpu_seconds();
  std::uint64_t sum = 0;
  for (std::uint64_t section = 0; section < sections; ++section)
    for (FrameRange rest = pieces[section % pieces.size()]; !rest.empty();) {
      const auto view = copy_view(source, rest);
      if (!view) std::abort();
      const auto bytes = view->bytes();
      for (std::size_t i = 0; i < bytes.size(); i += 64) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, sizeof(word));
        sum += word;
      }
      rest.begin.value += bytes.size() >> kFrameShift;
    }
  const volatile std::uint64_t used = sum;  // or the compiler reads nothing
  static_cast<void>(used);
  return cpu_seconds() - before;
}

int run(const std::string& path, std::uint64_t tebibytes, unsigned threads) {
  if (!make_synthetic_core(path, tebibytes << 10, SyntheticMix::kBusy)) return 2;
  const double before = cpu_seconds();
  const auto started = std::chrono::steady_clock::now();
  const auto source = open_vmcore(path);
  if (!source) return 2;
  const auto classifier = PageClassifier::open(**source, kMaxDumpLevel);
  if (!classifier) {
    fmt::print(stderr, "{}\n", classifier.error().what());
    return 2;
  }
  const std::uint64_t sections = (tebibytes << 40) / 128_MiB, frames = 128_MiB / kFrameSize;
  std::atomic<std::uint64_t> next{0}, kept{0}, runs_seen{0};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      std::vector<PageRun> runs;
      for (std::uint64_t section; (section = next++) < sections;) {
        runs.clear();
        if (!(*classifier)->classify({Gfn{section * frames}, Gfn{(section + 1) * frames}}, runs))
          std::abort();
        runs_seen += runs.size();
        for (const PageRun& run : runs)
          if (!is_left_out(run.page_class, kMaxDumpLevel)) kept += run.frames.frames();
      }
    });
  for (std::thread& worker : workers) worker.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const double cpu = (cpu_seconds() - before) / static_cast<double>(tebibytes);
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const double plain =
      read_structs(**source, **classifier, sections) / static_cast<double>(tebibytes);
  const double kept_percent =
      100.0 * static_cast<double>(kept) / static_cast<double>(sections * frames);
  fmt::print("{} TiB, {} threads: {:.2f} s, of CPU {:.2f} s/TiB; only reading {:.2f} s/TiB\n",
             tebibytes, threads, seconds, cpu, plain);
  fmt::print("{} runs, {:.1f} % kept, {} frames unknown, peak {} MiB resident\n", runs_seen.load(),
             kept_percent, (*classifier)->kept_unknown().frames(), usage.ru_maxrss >> 10);
  ::unlink(path.c_str());
  return 0;
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: classify_bench FILE TEBIBYTES [THREADS]\n");
    return 2;
  }
  return hadump::run(argv[1], std::strtoull(argv[2], nullptr, 10),
                     argc > 3 ? static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)) : 1);
}
