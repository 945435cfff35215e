# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the shell tests: a scratch directory with stub commands, and the two assertions.
# shellcheck shell=sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/bin" "$scratch/kernel/hadump" "$scratch/crash" "$scratch/run"
# A search for leaks at the end of each short command doubles its time; unit tests have it.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
: >"$scratch/calls"

# stub NAME BODY: a command that notes how it was called, then runs BODY.
stub() {
	cat >"$scratch/bin/$1" <<STUB
#!/bin/sh
echo "$1 \$*" >>"$scratch/calls"
$2
STUB
	chmod +x "$scratch/bin/$1"
}

# stub_save BODY: release-region that accepts each target, and does this when it is to save.
stub_save() {
	stub release-region "case \" \$* \" in *' --check '*) exit 0 ;; esac
$1"
}

fail() {
	echo "FAILED: $case_name: $*" >&2
	[ ! -s "$scratch/output" ] || sed 's/^/  output: /' "$scratch/output" >&2
	sed 's/^/  call: /' "$scratch/calls" >&2
	exit 1
}

begin() {
	case_name=$1
	: >"$scratch/calls"
	: >"$scratch/output"
}

# expect_code CODE COMMAND…: runs it; its output is kept for expect_said.
expect_code() {
	wanted=$1
	shift
	code=0
	"$@" >"$scratch/output" 2>&1 || code=$?
	[ "$code" -eq "$wanted" ] || fail "exit code $code, expected $wanted: $*"
}

expect_called() {
	grep -qF -- "$1" "$scratch/calls" || fail "was not called: $1"
}

expect_not_called() {
	! grep -qF -- "$1" "$scratch/calls" || fail "was called: $1"
}

expect_said() {
	grep -qF -- "$1" "$scratch/output" || fail "did not say: $1"
}
