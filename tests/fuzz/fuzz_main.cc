// SPDX-License-Identifier: GPL-2.0-or-later
// One libFuzzer program for each target: HADUMP_FUZZ_TARGET names it.
//   fuzz_elf -max_total_time=60 CORPUS
// `fuzz_elf --write-seeds DIRECTORY` fills a corpus from the recipes first.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/base/file.h"
#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hadump::HADUMP_FUZZ_TARGET.run(std::as_bytes(std::span(data, size)));
  return 0;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc < 3 || std::string((*argv)[1]) != "--write-seeds") return 0;
  int number = 0;
  for (const auto& seed : hadump::HADUMP_FUZZ_TARGET.seeds()) {
    const std::string path = std::string((*argv)[2]) + "/seed" + std::to_string(number++);
    const std::string_view content(reinterpret_cast<const char*>(seed.data()), seed.size());
    if (auto r = hadump::write_file_atomically(path, content, 0644); !r) {
      std::fprintf(stderr, "%s\n", r.error().what().c_str());
      std::exit(1);
    }
  }
  std::exit(0);
}
