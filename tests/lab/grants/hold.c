// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In another domain: maps what a guest has granted, keeps it, and writes all over it at SIGUSR1.
 * Usage: hold DOMID REFERENCE…; prints "holds" when they are mapped, "wrote" when it has written.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
/* They name the types of the next one. */
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/gntdev.h>

#define PAGE 4096UL

int main(int argc, char **argv)
{
	unsigned int pages = argc > 2 ? argc - 2 : 0, i;
	struct ioctl_gntdev_map_grant_ref *map;
	int fd = open("/dev/xen/gntdev", O_RDWR), signal;
	sigset_t asked;
	char *at;

	sigemptyset(&asked);
	sigaddset(&asked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &asked, NULL);
	if (!pages || fd < 0) {
		fprintf(stderr, "hold: DOMID REFERENCE…; %s\n", strerror(errno));
		return 1;
	}
	map = calloc(1, sizeof(*map) + pages * sizeof(map->refs[0]));
	if (!map)
		return 1;
	map->count = pages;
	for (i = 0; i < pages; i++) {
		map->refs[i].domid = strtoul(argv[1], NULL, 10);
		map->refs[i].ref = strtoul(argv[2 + i], NULL, 10);
	}
	if (ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, map)) {
		perror("hold: IOCTL_GNTDEV_MAP_GRANT_REF");
		return 1;
	}
	at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, map->index);
	if (at == MAP_FAILED) {
		perror("hold: mmap");
		return 1;
	}
	puts(at[0] == 'g' ? "holds" : "holds something else");
	fflush(stdout);
	for (;;) {
		sigwait(&asked, &signal);
		memset(at, 'h', pages * PAGE);
		puts("wrote");
		fflush(stdout);
	}
}
