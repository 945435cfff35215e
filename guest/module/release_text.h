/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is written to /sys/kernel/release_region. No kernel services; tests/unit/guest compiles this
 * in userspace.
 */
#ifndef HADUMP_RELEASE_TEXT_H
#define HADUMP_RELEASE_TEXT_H

#include "range.h"

/* Value of a hexadecimal digit; -1: none. */
static inline int hadump_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * One hexadecimal number, 0x optional; no sign, no blanks. Leaves *text at the first byte after it.
 * Returns -EINVAL when there is none, or when it has more than 64 bits.
 */
static inline int hadump_parse_hex(const char **text, u64 *value)
{
	const char *s = *text;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	if (hadump_digit(*s) < 0)
		return -EINVAL;
	for (*value = 0; hadump_digit(*s) >= 0; s++) {
		if (*value >> 60)
			return -EINVAL;
		*value = *value << 4 | (u64)hadump_digit(*s);
	}
	*text = s;
	return 0;
}

/*
 * "START LENGTH": hexadecimal bytes, one blank, an optional newline. Returns -EINVAL for all else;
 * the numbers are undefined then.
 */
static inline int hadump_parse_range(const char *text, u64 *start, u64 *length)
{
	if (hadump_parse_hex(&text, start) || *text++ != ' ' || hadump_parse_hex(&text, length))
		return -EINVAL;
	if (*text == '\n')
		text++;
	return *text ? -EINVAL : 0;
}

#endif /* HADUMP_RELEASE_TEXT_H */
