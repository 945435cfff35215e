#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# release-region ends in silence when nobody reads its output any more, and says what is wrong when it
# cannot be written, or when a file may not grow, instead of dying of a signal. Usage: closed_pipe_test.sh RELEASE-REGION
set -eu
tool=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() {
	echo "FAILED: $*" >&2
	cat "$scratch/errors" >&2
	exit 1
}

# Descriptor 4 is a pipe whose reader is gone, with certainty.
mkfifo "$scratch/pipe"
exec 3<>"$scratch/pipe"
exec 4>"$scratch/pipe"
exec 3<&-

code=0
"$tool" --help >&4 2>"$scratch/errors" || code=$?
[ "$code" = 0 ] || fail "whoever reads only the beginning is no error: status $code"
[ ! -s "$scratch/errors" ] || fail "whoever has read enough need not be told"

code=0
"$tool" --help >/dev/full 2>"$scratch/errors" || code=$?
[ "$code" = 1 ] || fail "a full disk ends with status 1, not $code"
grep -q "standard output" "$scratch/errors" || fail "it says what could not be written"
