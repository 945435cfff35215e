// SPDX-License-Identifier: GPL-2.0-or-later
// Classification of a machine of any size: makes a sparse ELF core whose struct pages are generated
// and classifies all of it. Usage: classify_bench FILE TEBIBYTES [THREADS]
//
// Prints seconds per TiB of (made-up) memory and the peak resident size.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "core/vmcore/page_classifier.h"
#include "tests/bench/synthetic_core.h"

namespace hadump {
namespace {

int run(const std::string& path, std::uint64_t tebibytes, unsigned threads) {
  if (!make_synthetic_core(path, tebibytes << 10, SyntheticMix::kBusy)) return 2;
  struct rusage before {};
  ::getrusage(RUSAGE_SELF, &before);
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
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const struct rusage& of) {
    return static_cast<double>(of.ru_utime.tv_sec + of.ru_stime.tv_sec) +
           static_cast<double>(of.ru_utime.tv_usec + of.ru_stime.tv_usec) / 1e6;
  };
  const double cpu = (seconds_of(usage) - seconds_of(before)) / static_cast<double>(tebibytes);
  const double kept_percent =
      100.0 * static_cast<double>(kept) / static_cast<double>(sections * frames);
  fmt::print("{} TiB, {} threads: {:.2f} s, of CPU {:.2f} s/TiB\n", tebibytes, threads, seconds,
             cpu);
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
