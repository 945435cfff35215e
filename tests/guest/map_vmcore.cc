// SPDX-License-Identifier: GPL-2.0-or-later
// map_vmcore FILE ADDRESS…: maps one page of a vmcore at each physical address (hexadecimal), here
// and in a child, waits for a line on stdin, and says what is seen through the mappings then,
// "SIGBUS" for nothing: "parent ADDRESS WORD", then the child's.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "tests/guest/vmcore_offset.h"

namespace {

constexpr int kMost = 16;
sigjmp_buf back;

void look(const char* who, char** addresses, const volatile std::uint64_t* const* pages,
          int count) {
  for (int i = 0; i < count; ++i) {
    if (sigsetjmp(back, 1) != 0)
      printf("%s %s SIGBUS\n", who, addresses[i]);
    else
      printf("%s %s %lx\n", who, addresses[i], static_cast<unsigned long>(*pages[i]));
  }
  fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int fd = argc > 2 ? open(argv[1], O_RDONLY) : -1;
  const int count = argc - 2;
  if (fd < 0 || count > kMost) return 1;
  const volatile std::uint64_t* pages[kMost] = {};
  for (int i = 0; i < count; ++i) {
    const off_t offset = vmcore_offset(fd, strtoull(argv[i + 2], nullptr, 16));
    void* page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, offset);
    if (offset == 0 || page == MAP_FAILED) return 1;
    pages[i] = static_cast<std::uint64_t*>(page);
  }
  signal(SIGBUS, [](int) { siglongjmp(back, 1); });
  look("before", argv + 2, pages, count);

  int turn[2];
  if (pipe(turn) != 0) return 1;
  const pid_t child = fork();
  char byte = 0;
  if (child == 0) {
    if (read(turn[0], &byte, 1) != 1) return 1;
    look("child", argv + 2, pages, count);
    return 0;
  }
  puts("ready");
  fflush(stdout);
  if (read(0, &byte, 1) != 1) return 1;
  look("parent", argv + 2, pages, count);
  if (write(turn[1], &byte, 1) != 1) return 1;
  return waitpid(child, nullptr, 0) == child ? 0 : 1;
}
