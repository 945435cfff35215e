// SPDX-License-Identifier: GPL-2.0-or-later
// find-leaks DOMID MEMORY_MIB TEXT
//
// Reads every frame of a domain that has never run and was given all memory that the host has left:
// what is in those frames is what their last owner left there. Prints how many frames there are,
// how many have anything but zeros in them, and how many contain TEXT. Shows the first that are
// not zero on standard error.

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>

#include "tests/lab/truth/domain_frames.h"

namespace hadump::lab {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kShown = 60;  // frames

struct Found {
  std::uint64_t frames = 0;
  std::uint64_t not_zero = 0;
  std::uint64_t with_text = 0;
};

// What is in it, for whoever looks for the leak.
void show(std::uint64_t gfn, std::string_view page, std::size_t at) {
  constexpr std::size_t kBytes = 32;
  const auto set = std::count_if(page.begin(), page.end(), [](char c) { return c != '\0'; });
  std::fprintf(stderr,
               "frame %#llx: %lld bytes, from %#zx on:", static_cast<unsigned long long>(gfn),
               static_cast<long long>(set), at);
  for (const char byte : page.substr(at, kBytes))
    std::fprintf(stderr, " %02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  std::fprintf(stderr, "\n");
}

void look_at(std::uint64_t gfn, std::string_view page, std::string_view text, Found& found) {
  ++found.frames;
  const std::size_t at = page.find_first_not_of('\0');
  if (at == std::string_view::npos) return;
  if (++found.not_zero <= kShown) show(gfn, page, at);
  if (page.find(text) != std::string_view::npos) ++found.with_text;
}

void scan(xenforeignmemory_handle* foreign, std::uint32_t domid, std::uint64_t first,
          std::size_t count, std::string_view text, Found& found) {
  std::array<xen_pfn_t, kBatch> frames{};
  std::array<int, kBatch> errors{};
  std::iota(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(count), first);
  void* mapped =
      xenforeignmemory_map(foreign, domid, PROT_READ, count, frames.data(), errors.data());
  if (mapped == nullptr) return;  // none of them is there
  for (std::size_t i = 0; i < count; ++i)
    if (errors[i] == 0)
      look_at(frames[i], {static_cast<const char*>(mapped) + i * kPage, kPage}, text, found);
  static_cast<void>(xenforeignmemory_unmap(foreign, mapped, count));
}

}  // namespace
}  // namespace hadump::lab

int main(int argc, char** argv) {
  using namespace hadump::lab;
  if (argc != 4) {
    std::fprintf(stderr, "usage: find-leaks DOMID MEMORY_MIB TEXT\n");
    return 2;
  }
  const auto domid = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  const Foreign foreign(xenforeignmemory_open(nullptr, 0));
  if (!foreign) {
    std::fprintf(stderr, "find-leaks: opening foreign memory: %s\n", std::strerror(errno));
    return 2;
  }
  Found found;
  for_each_batch(std::strtoull(argv[2], nullptr, 10), [&](std::uint64_t first, std::size_t count) {
    scan(foreign.get(), domid, first, count, argv[3], found);
  });
  std::printf("%llu %llu %llu\n", static_cast<unsigned long long>(found.frames),
              static_cast<unsigned long long>(found.not_zero),
              static_cast<unsigned long long>(found.with_text));
  return found.frames == 0 ? 1 : 0;
}
