/*
 * Leaves no two free pages side by side, as a system does that has run for long, so that a balloon
 * takes single pages anywhere. Usage: scatter MIB, where MIB is nearly all that is free. Keeps every
 * other page until the crash.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL

int main(int argc, char **argv)
{
	size_t bytes = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || madvise(at, bytes, MADV_NOHUGEPAGE)) {
		perror("scatter");
		return 1;
	}
	for (size_t i = 0; i < bytes; i += PAGE)
		at[i] = (char)(i >> 12 | 1);
	for (size_t i = 0; i < bytes; i += 2 * PAGE)
		madvise(at + i, PAGE, MADV_DONTNEED);
	printf("SCATTER: ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
