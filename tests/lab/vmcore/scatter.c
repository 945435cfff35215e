// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaves no two free pages side by side, as a system does that has run for long, so that a balloon
 * takes single pages anywhere. Usage: scatter MIB, where MIB is what it leaves as it is: for the
 * system to go on with. Keeps every other page until the crash; locked, so that nothing moves them
 * together (with 0 in vm.compact_unevictable_allowed).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24	/* Linux 5.18 */
#endif
#define STRIDE 15485863UL	/* a prime above every number of pairs, so that each one is met */

static size_t free_bytes(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "MemFree: %lu", &kib) != 1)
		;
	if (file)
		fclose(file);
	return kib << 10;
}

int main(int argc, char **argv)
{
	size_t leave = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0, bytes = free_bytes();
	char *at;

	if (bytes <= leave) {
		fprintf(stderr, "scatter: %zu bytes are free\n", bytes);
		return 1;
	}
	bytes = (bytes - leave) & -PAGE;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || madvise(at, bytes, MADV_NOHUGEPAGE) || mlock(at, bytes)) {
		perror("scatter");
		return 1;
	}
	for (size_t i = 0; i < bytes; i += PAGE)
		at[i] = (char)(i >> 12 | 1);
	/* In no order: what is freed last is taken first, and must be anywhere. */
	for (size_t i = 0, pair = 0, pairs = bytes / (2 * PAGE); i < pairs; i++) {
		pair = (pair + STRIDE) % pairs;
		if (madvise(at + pair * 2 * PAGE, PAGE, MADV_DONTNEED_LOCKED)) {
			perror("scatter: madvise");
			return 1;
		}
	}
	printf("SCATTER: ready, %zu MiB\n", bytes >> 20);
	fflush(stdout);
	for (;;)
		pause();
}
