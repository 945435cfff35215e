#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What release-region says of a file that it cannot use: which command, which file, why; each once.
# Usage: messages_test.sh RELEASE-REGION
set -eu
tool=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
cd "$scratch"
printf 'no dump' >short
head -c 8192 /dev/zero | tr '\0' x >long
reason="neither an ELF core nor a kdump-compressed dump"

for file in short long; do
	for command in info verify; do
		begin "$command of a file that is no dump ($file)"
		expect_code 1 "$tool" "$command" "$file"
		[ "$(cat output)" = "release-region $command: $file: $reason" ] || fail "says something else"
	done
	begin "convert of a file that is no dump ($file)"
	expect_code 1 "$tool" convert "$file" out
	[ "$(cat output)" = "release-region convert: $file: $reason" ] || fail "says something else"
done

begin "a pipe as a dump does not block"
mkfifo pipe
expect_code 1 timeout 10 "$tool" info pipe
grep -q 'a pipe; .*write it to a file first' output || fail "says something else"

begin "a packed dump is named"
printf 'anything' | gzip >dump.gz
expect_code 1 "$tool" verify dump.gz
grep -q 'dump.gz: compressed with gzip: unpack it' output || fail "says something else"

begin "a number of threads that is none"
for command in "convert short out" "estimate --vmcore short"; do
	# shellcheck disable=SC2086
	expect_code 2 "$tool" $command --threads -1
	grep -q -- '--threads must be at most 1024' output || fail "says something else"
done

begin "an unknown command is named"
expect_code 2 "$tool" -c -d 31 in out
grep -q "unknown command '-c'" output || fail "says something else"

echo "all passed"
