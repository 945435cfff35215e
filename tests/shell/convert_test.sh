#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A dump as standard input; a target that exists, or that there is no room for.
# Usage: convert_test.sh RELEASE-REGION
set -eu
tool=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
cd "$scratch"

# little BYTES NUMBER: little-endian.
little() {
	left=$1 number=$2
	while [ "$left" -gt 0 ]; do
		printf '%b' "\\0$(printf %03o $((number & 255)))"
		number=$((number >> 8)) left=$((left - 1))
	done
}

# make_dump PIECES LETTER: an ELF core of pages full of this letter, with a hole after each.
make_dump() {
	printf '\177ELF\002\001\001'
	little 9 0 && little 2 4 && little 2 62 && little 4 1
	little 8 0 && little 8 64 && little 8 0 && little 4 0
	little 2 64 && little 2 56 && little 2 "$1" && little 6 0
	piece=0
	while [ "$piece" -lt "$1" ]; do
		little 4 1 && little 4 7 && little 8 $((4096 * (piece + 1)))
		start=$((0x100000 + 8192 * piece))
		little 8 $((start - 0x778000000000)) && little 8 $start
		little 8 4096 && little 8 4096 && little 8 0
		piece=$((piece + 1))
	done
	head -c $((4096 - 64 - 56 * $1)) /dev/zero
	head -c $((4096 * $1)) /dev/zero | tr '\0' "$2"
}
make_dump 4 x >dump
make_dump 4 y >other
read_all='4 pages read, 0 left out, 0 lost or damaged; the dump is marked complete'

begin "standard input is read, from a file or a pipe"
expect_code 0 "$tool" info dump
mv output wanted
expect_code 0 "$tool" info - <dump
cmp wanted output || fail "says something else"
for command in "info -" "verify -" "estimate --vmcore -" "convert - copy"; do
	# shellcheck disable=SC2086 # words
	code=0 && (cat dump; :) | "$tool" $command >output 2>&1 || code=$?
	[ "$code" = 0 ] || fail "$command: status $code"
done
expect_code 0 "$tool" verify copy
expect_said "$read_all"

begin "a dump goes through a pipe from one to the next"
"$tool" convert dump - 2>errors | "$tool" verify - >output 2>&1 || fail "does not arrive"
expect_said "$read_all"

begin "what a stream that was cut off did not bring is not called left out"
"$tool" convert dump - >stream 2>errors
head -c $(($(wc -c <stream) - 17)) stream >partial
expect_code 5 "$tool" verify partial
expect_said "left out or never written"
expect_said "the dump is marked incomplete"
expect_code 0 "$tool" verify stream
expect_said "$read_all"

begin "no room for the copy of a pipe is said"
code=0 && (cat dump; :) | TMPDIR=$scratch/missing "$tool" info - >output 2>&1 || code=$?
[ "$code" = 1 ] || fail "status $code"
expect_said "a copy of standard input, in TMPDIR"
expect_code 1 "$tool" info - </dev/null
expect_said "neither a file nor a pipe"

begin "a target that exists stays, unless it is to be replaced"
cp other target
expect_code 1 "$tool" convert dump target
expect_said "replace this one with --force"
cmp other target || fail "was changed"
expect_code 0 "$tool" convert dump target --format elf --force
tail -c 4096 dump >page
tail -c 4096 target | cmp page - || fail "has other pages"
[ "$(ls target*)" = "$(printf 'target\n')" ] || fail "leaves something: $(ls target*)"
expect_code 0 "$tool" convert target target --force
expect_code 0 "$tool" verify target
expect_said "$read_all"

begin "neither a link nor an unfinished dump is replaced"
ln -s other link
expect_code 1 "$tool" convert dump link --force
expect_said "is not a file"
: >.target.hadump-journal
expect_code 1 "$tool" convert dump target --force
expect_said "is of a save that has not ended"
rm .target.hadump-journal
expect_code 2 "$tool" save --to target --force
expect_said "--vmcore"

begin "what could not begin leaves nothing"
code=0 && (ulimit -f 0 && "$tool" convert dump none) >output 2>&1 || code=$?
[ "$code" != 0 ] || fail "there was no room"
[ ! -e none-incomplete ] || fail "leaves an empty file"


echo "all passed"
