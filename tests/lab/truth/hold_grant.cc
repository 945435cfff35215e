// SPDX-License-Identifier: GPL-2.0-or-later
// hold-grant DOMID REFERENCE MEMORY_MIB GO
//
// Maps a page that a domain has granted to this one, and keeps it, as a domain could that is not
// asked to let go. Prints "mapped", waits until the file GO is there, writes a text of its own into
// the page and prints in how many of the domain's frames that is found.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "tests/lab/truth/domain_frames.h"

extern "C" {
#include <xengnttab.h>
}

namespace hadump::lab {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kTextBytes = 32;  // at the page's end: rings do not reach that far

std::string random_text() {
  std::random_device random;
  std::string text(kTextBytes, '\0');
  for (char& one : text) one = static_cast<char>('a' + random() % 26);
  return text;
}

std::uint64_t frames_with(xenforeignmemory_handle* foreign, std::uint32_t domid,
                          std::uint64_t memory_mib, std::string_view text) {
  std::uint64_t found = 0;
  for_each_batch(memory_mib, [&](std::uint64_t first, std::size_t count) {
    std::array<xen_pfn_t, kBatch> frames{};
    std::array<int, kBatch> errors{};
    std::iota(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(count), first);
    void* mapped =
        xenforeignmemory_map(foreign, domid, PROT_READ, count, frames.data(), errors.data());
    if (mapped == nullptr) return;  // none of them is there
    for (std::size_t i = 0; i < count; ++i) {
      if (errors[i] != 0) continue;
      const std::string_view page(static_cast<const char*>(mapped) + i * kPage, kPage);
      if (page.substr(kPage - kTextBytes) == text) ++found;
    }
    static_cast<void>(xenforeignmemory_unmap(foreign, mapped, count));
  });
  return found;
}

int fail(const char* what) {
  std::fprintf(stderr, "hold-grant: %s: %s\n", what, std::strerror(errno));
  return 1;
}

int hold(std::uint32_t domid, std::uint32_t reference, std::uint64_t memory_mib, const char* go) {
  xengnttab_handle* const grants = xengnttab_open(nullptr, 0);
  if (grants == nullptr) return fail("opening grants");
  auto* const page =
      static_cast<char*>(xengnttab_map_grant_ref(grants, domid, reference, PROT_READ | PROT_WRITE));
  if (page == nullptr) return fail("mapping the grant");
  std::printf("mapped\n");
  std::fflush(stdout);
  while (access(go, F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::string text = random_text();
  std::memcpy(page + kPage - kTextBytes, text.data(), kTextBytes);
  const Foreign foreign(xenforeignmemory_open(nullptr, 0));
  if (!foreign) return fail("opening foreign memory");
  std::printf("found %llu\n",
              static_cast<unsigned long long>(frames_with(foreign.get(), domid, memory_mib, text)));
  return 0;
}

}  // namespace
}  // namespace hadump::lab

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: hold-grant DOMID REFERENCE MEMORY_MIB GO\n");
    return 2;
  }
  return hadump::lab::hold(static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)),
                           static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10)),
                           std::strtoull(argv[3], nullptr, 10), argv[4]);
}
