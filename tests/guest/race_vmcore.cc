// SPDX-License-Identifier: GPL-2.0-or-later
// race_vmcore FILE FROM TO END STOP RELEASED: maps a vmcore from somewhere in [FROM, TO) to END
// (physical addresses, hexadecimal) again and again, in several processes, until the file STOP is
// there, and looks at pages of [FROM, TO); one process keeps its mapping. Every page begins with
// its address, is zeros when it is hidden, and SIGBUS when it was taken away. Below the address
// that is the size of the file RELEASED, all is. Prints how often a page was which; "foreign" is
// what it must not be. FROM and TO are in one load; the more loads there are from there to END, the
// longer a mapping is being made while its beginning is there.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <random>

#include "tests/guest/vmcore_offset.h"

namespace {

constexpr unsigned kProcesses = 8;
constexpr std::uint64_t kPage = 4096;
constexpr int kLooks = 100;  // at each mapping, a millisecond apart

struct Seen {
  unsigned long original = 0, zero = 0, gone = 0, foreign = 0, refused = 0;
};

sigjmp_buf back;

void look(const std::byte* page, std::uint64_t address, const char* released, Seen& seen) {
  struct stat file {};
  const bool is_gone =
      stat(released, &file) == 0 && address < static_cast<std::uint64_t>(file.st_size);
  if (sigsetjmp(back, 1) != 0) {
    ++seen.gone;
    return;
  }
  const auto word = *reinterpret_cast<const volatile std::uint64_t*>(page);
  ++(word == address && !is_gone ? seen.original : word == 0 ? seen.zero : seen.foreign);
}

struct Race {
  std::uint64_t from, to;
  off_t from_offset, end_offset;
  const char* stop;
  const char* released;
};

Seen run(int fd, const Race& race, unsigned number) {
  Seen seen;
  const bool keeps = number == 0;
  std::mt19937_64 random(number);
  const std::uint64_t pages = (race.to - race.from) / kPage;
  while (access(race.stop, F_OK) != 0) {
    const std::uint64_t first = keeps ? 0 : random() % pages;
    const off_t offset = race.from_offset + static_cast<off_t>(first * kPage);
    const auto bytes = static_cast<std::size_t>(race.end_offset - offset);
    void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, offset);
    if (mapped == MAP_FAILED) {
      ++seen.refused;
      continue;
    }
    for (int i = 0; i < kLooks || (keeps && access(race.stop, F_OK) != 0); ++i) {
      const std::uint64_t page = random() % (pages - first);
      look(static_cast<std::byte*>(mapped) + page * kPage, race.from + (first + page) * kPage,
           race.released, seen);
      usleep(1000);
    }
    munmap(mapped, bytes);
  }
  return seen;
}

}  // namespace

int main(int argc, char** argv) {
  const int fd = argc == 7 ? open(argv[1], O_RDONLY) : -1;
  if (fd < 0) return 1;
  Race race{strtoull(argv[2], nullptr, 16), strtoull(argv[3], nullptr, 16), 0, 0, argv[5], argv[6]};
  race.from_offset = vmcore_offset(fd, race.from);
  race.end_offset =
      vmcore_offset(fd, strtoull(argv[4], nullptr, 16) - kPage) + static_cast<off_t>(kPage);
  if (race.from_offset == 0 || race.end_offset <= race.from_offset) return 1;
  signal(SIGBUS, [](int) { siglongjmp(back, 1); });
  for (unsigned i = 0; i < kProcesses; ++i) {
    if (fork() != 0) continue;
    const Seen seen = run(fd, race, i);
    printf("original %lu zero %lu gone %lu foreign %lu refused %lu\n", seen.original, seen.zero,
           seen.gone, seen.foreign, seen.refused);
    return 0;
  }
  int status = 0;
  while (wait(&status) > 0)
    if (status != 0) return 1;
  return 0;
}
