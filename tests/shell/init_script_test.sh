#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest/boot/init.d/hadump-save: starts the saver when a dump waits, once, and stops it again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

script=$here/../../guest/boot/init.d/hadump-save
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_SAVER="$scratch/bin/saver"
export HADUMP_MEMORY="$scratch/bin/memory" HADUMP_BOOT_MEMORY="$scratch/bin/boot-memory"
export HADUMP_RUN_DIR="$scratch/run" HADUMP_LOG="$scratch/log" HADUMP_LIB="$here/../../guest/boot"

wait_for_call() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		! grep -q "$1" "$scratch/calls" || return 0
		sleep 0.1
	done
	fail "was not called: $1"
}

stub saver 'exec sleep 60'
stub memory 'exit 0'
stub boot-memory 'exit 0'

umask 022

begin "without a dump it says what the boot has taken, and does nothing else"
expect_code 0 "$script" start
wait_for_call boot-memory
[ ! -e "$scratch/run/hadump-save.pid" ] || fail "started something"
expect_code 3 "$script" status

: >"$scratch/kernel/release_region"
: >"$scratch/calls"

begin "starts the saver in the background, once"
expect_code 0 "$script" start
wait_for_call saver
wait_for_call "memory restore"
expect_code 0 "$script" status
expect_code 0 "$script" start
expect_said "already running"
[ "$(grep -c saver "$scratch/calls")" -eq 1 ] || fail "started it twice"

begin "stops it"
expect_code 0 "$script" stop
expect_code 3 "$script" status

begin "does not forget a saver that takes its time to stop"
stub saver 'trap "" TERM; while :; do sleep 0.2; done'
expect_code 0 "$script" start
sleep 0.5
HADUMP_STOP_SECONDS=1 expect_code 1 "$script" stop
expect_said "still saving"
expect_code 0 "$script" status
kill -KILL "$(cat "$scratch/run/hadump-save.pid")"
rm "$scratch/run/hadump-save.pid"

begin "its log is ours alone, also one that was there"
stub saver 'echo said'
start() {
	expect_code 0 "$script" start
	wait_for_call saver
	wait_for_call "memory restore"
	left=100
	while "$script" status >/dev/null && [ "$left" -gt 0 ]; do
		sleep 0.1
		left=$((left - 1))
	done
	: >"$scratch/calls"
}
[ "$(stat -c %a "$scratch/log")" = 600 ] || fail "made with another mode"
chmod 644 "$scratch/log"
start
[ "$(stat -c %a "$scratch/log")" = 600 ] || fail "keeps another mode"
[ ! -s "$scratch/output" ] || grep -q "see $scratch/log" "$scratch/output" || fail "complains"

begin "and is written nowhere else"
mkdir -m 777 "$scratch/open"
chmod 777 "$scratch/open"
echo precious >"$scratch/precious"
ln -s "$scratch/precious" "$scratch/link"
ln -s "$scratch" "$scratch/open/link"
for log in open/log link open/link/precious; do
	rm -f "$scratch/run/hadump-save.log"
	HADUMP_LOG="$scratch/$log" start
	expect_said "others can change $scratch/$log, or the way to it"
	expect_said "see $scratch/run/hadump-save.log"
done
[ ! -e "$scratch/open/log" ] || fail "made it"
[ "$(cat "$scratch/precious")" = precious ] || fail "wrote it"
ln -sf "$scratch/precious" "$scratch/run/hadump-save.log"
HADUMP_LOG="$scratch/link" start
expect_said "see /dev/null"
[ "$(cat "$scratch/precious")" = precious ] || fail "wrote it"

begin "comes after every file system that the target can be on"
for word in Start Stop; do
	grep -qx "# Required-$word: .* \$remote_fs" "$script" || fail "Required-$word has no \$remote_fs"
done

begin "settings for the full memory are kept away before procps sets them"
window=$here/../../guest/boot/init.d/hadump-window
: >"$scratch/calls"
expect_code 0 "$window" start
expect_called "memory early"
: >"$scratch/calls"
for word in stop restart force-reload status; do expect_code 0 "$window" "$word"; done
expect_not_called memory
grep -qx "# X-Start-Before: *procps" "$window" || fail "may come after procps"
grep -qx "# Default-Start: *S" "$window" || fail "is not a part of the early boot"

begin "refuses an unknown command"
expect_code 2 "$script" dance
expect_code 2 "$window" dance

echo "all passed"
