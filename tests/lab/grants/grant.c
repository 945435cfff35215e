// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In a guest: grants pages to another domain, which may write to them, and keeps them.
 * Usage: grant DOMID PAGES; prints "grants:" and their references.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
/* Linux's own, which libxen-dev does not replace. */
#include <xen/gntalloc.h>

#define PAGE 4096UL

int main(int argc, char **argv)
{
	unsigned int pages = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, i;
	struct ioctl_gntalloc_alloc_gref *grants;
	int fd = open("/dev/xen/gntalloc", O_RDWR);
	char *at;

	if (!pages || fd < 0) {
		fprintf(stderr, "grant: DOMID PAGES; %s\n", strerror(errno));
		return 1;
	}
	grants = calloc(1, sizeof(*grants) + pages * sizeof(__u32));
	if (!grants)
		return 1;
	grants->domid = strtoul(argv[1], NULL, 10);
	grants->flags = GNTALLOC_FLAG_WRITABLE;
	grants->count = pages;
	if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, grants)) {
		perror("grant: IOCTL_GNTALLOC_ALLOC_GREF");
		return 1;
	}
	at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, grants->index);
	if (at == MAP_FAILED) {
		perror("grant: mmap");
		return 1;
	}
	for (i = 0; i < pages; i++)
		memset(at + i * PAGE, 'g', PAGE);
	printf("grants:");
	for (i = 0; i < pages; i++)
		printf(" %u", grants->gref_ids[i]);
	puts("");
	fflush(stdout);
	for (;;)
		pause();
}
