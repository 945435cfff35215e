// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Puts memory to as many uses as the page filter tells apart, holds it, and says so: run by the init
 * of tests/lab/make-vmcore inside the guest. Usage: load MIB DIRECTORY [bad], where MIB is about what
 * to use in all and DIRECTORY is on a disk; with "bad" some pages are declared broken, which no
 * dump has at any level.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101 /* linux/mman.h; this libc's headers lack it */
#endif

#define MIB (1UL << 20)

static uint64_t seed = 0x9E3779B97F4A7C15u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A third random, a third text-like, a third zeros: pages that compress differently. */
static void fill(char *at, size_t bytes)
{
	for (size_t page = 0; page < bytes; page += 4096) {
		uint64_t *words = (uint64_t *)(at + page);
		unsigned kind = next_random() % 3;

		for (unsigned i = 0; i < 512; i++)
			words[i] = kind == 0 ? next_random() : kind == 1 ? 0x6465726973656400u + i % 7 : 0;
	}
}

static char *map_filled(size_t bytes, int flags, int advice, const char *name)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	if (at == MAP_FAILED) {
		printf("LOAD: %s: not available\n", name);
		return NULL;
	}
	if (advice)
		madvise(at, bytes, advice);
	fill(at, bytes);
	printf("LOAD: %s: %zu MiB\n", name, bytes / MIB);
	return at;
}

static void write_file(const char *directory, const char *name, size_t bytes)
{
	char path[256];
	char *buffer = malloc(MIB);
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	if (fd < 0 || !buffer)
		return;
	for (size_t done = 0; done < bytes; done += MIB) {
		fill(buffer, MIB);
		if (write(fd, buffer, MIB) != (ssize_t)MIB)
			break;
	}
	fsync(fd);
	/* The second half is read again, so that it has pages without the file system's private data. */
	posix_fadvise(fd, (off_t)(bytes / 2), 0, POSIX_FADV_DONTNEED);
	for (size_t at = bytes / 2; at < bytes; at += MIB)
		if (pread(fd, buffer, MIB, (off_t)at) <= 0)
			break;
	free(buffer);
	printf("LOAD: %s: %zu MiB\n", path, bytes / MIB);
}

/* Linux 6.11 and later tell the process that declares a page bad; not to catch it is to die. */
static void on_bus_error(int number)
{
	(void)number;
}

/* Declares a page broken, as a machine check would. Needs CAP_SYS_ADMIN and CONFIG_MEMORY_FAILURE. */
static void poison(char *at, int advice, const char *name)
{
	if (!at || madvise(at, 4096, advice))
		printf("LOAD: %s: not available\n", name);
	else
		printf("LOAD: %s: 1 page\n", name);
}

int main(int argc, char **argv)
{
	size_t unit = (argc > 1 ? strtoul(argv[1], NULL, 0) : 64) * MIB / 16 / MIB * MIB;
	const char *directory = argc > 2 ? argv[2] : "/tmp";
	bool with_bad_pages = argc > 3 && !strcmp(argv[3], "bad");
	char *small, *huge, *shared, *hugetlb, *gone;

	if (unit < 2 * MIB)
		unit = 2 * MIB;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGBUS, on_bus_error);
	small = map_filled(2 * unit, MAP_PRIVATE, MADV_NOHUGEPAGE, "anonymous, small pages");
	huge = map_filled(2 * unit, MAP_PRIVATE, MADV_HUGEPAGE, "anonymous, huge pages");
	shared = map_filled(unit, MAP_SHARED, 0, "shared memory");
	hugetlb = map_filled(8 * MIB, MAP_PRIVATE | MAP_HUGETLB, 0, "hugetlb");
	map_filled(1024 * MIB, MAP_PRIVATE | MAP_HUGETLB | (30 << MAP_HUGE_SHIFT), 0, "hugetlb, 1 GiB");
	write_file(directory, "on-disk", 3 * unit);
	write_file("/tmp", "in-tmpfs", unit);
	gone = map_filled(unit, MAP_PRIVATE, MADV_NOHUGEPAGE, "freed again");
	if (gone)
		munmap(gone, unit);
	/* Holes in the buddy allocator's order: every third page of a stretch goes back. */
	for (size_t at = 0; small && at < unit; at += 3 * 4096)
		madvise(small + at, 4096, MADV_DONTNEED);
	if (with_bad_pages) {
		/* A huge page falls into small ones, a hugetlb page stays whole. */
		poison(small ? small + unit + 5 * 4096 : NULL, MADV_HWPOISON, "bad, small page");
		poison(huge ? huge + unit + 7 * 4096 : NULL, MADV_HWPOISON, "bad, huge page");
		poison(shared ? shared + 9 * 4096 : NULL, MADV_HWPOISON, "bad, shared memory");
		poison(hugetlb ? hugetlb + 2 * MIB + 11 * 4096 : NULL, MADV_HWPOISON,
		       "bad, hugetlb");
		poison(small ? small + unit + 13 * 4096 : NULL, MADV_SOFT_OFFLINE, "soft offline");
	}
	/* What was dirty must be on disk, or the pages' state changes while they are photographed. */
	sync();
	printf("LOAD: ready\n");
	for (;;)
		pause();
}
