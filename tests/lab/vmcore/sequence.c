// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes the numbers 1, 2, 3 … into pages, in turn: number n into page n % PAGES. Several threads do
 * so, one number at a time each, so that all writes are in one order: whoever sees number n in
 * memory must see every earlier one where it belongs. tests/lab/hadump_lab/sequence.py looks for
 * that in a dump. Usage: sequence PAGES THREADS
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC 0x6c616220746f7274u
/* So many numbers without a rest: under emulation, two vCPUs share one processor. */
#define BURST 64

struct page {
	uint64_t magic;
	uint64_t index;
	uint64_t pages;
	volatile uint64_t number;
	char rest[4096 - 32];
};

static struct page *pages;
static uint64_t count, newest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		for (int i = 0; i < BURST; i++) {
			pthread_mutex_lock(&lock);
			newest++;
			pages[newest % count].number = newest;
			pthread_mutex_unlock(&lock);
		}
		usleep(5000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long threads = argc > 2 ? strtoul(argv[2], NULL, 0) : 2;

	count = argc > 1 ? strtoul(argv[1], NULL, 0) : 1024;
	pages = mmap(NULL, count * sizeof(*pages), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	if (pages == MAP_FAILED || count == 0)
		return 1;
	for (uint64_t i = 0; i < count; i++) {
		pages[i].index = i;
		pages[i].pages = count;
		pages[i].magic = MAGIC;
	}
	for (unsigned long i = 0; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, NULL))
			return 1;
	}
	for (;;) {
		sleep(1);
		pthread_mutex_lock(&lock);
		printf("SEQUENCE: %lu\n", newest);
		pthread_mutex_unlock(&lock);
		fflush(stdout);
	}
}
