#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ./check and ./demo: what they refuse, what they run, and that nothing passes without having run. The
# compilers, ctest and the set-up are stubs; the scripts are copies in a tree of their own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

tree=$scratch/tree
mkdir -p "$tree/tests/setup" "$tree/tests/lab" "$tree/core/base" "$tree/guest/module" "$scratch/elsewhere"
cp "$here/../../check" "$here/../../demo" "$tree"
cp "$here/../setup/long.sh" "$tree/tests/setup"
printf '#!/bin/sh\n' >"$tree/tests/setup/setup.sh"
chmod +x "$tree/tests/setup/setup.sh"
: >"$tree/core/base/file.cc"
: >"$tree/guest/module/node.h"
PATH="$scratch/bin:$PATH"
stub sleep 'exec /bin/sleep 0.1'
stub cmake 'echo "[1/1] built"'
stub git 'echo "fatal: detected dubious ownership in repository" >&2; exit 128'
# shellcheck disable=SC2016 # The stub expands it.
stub python3 'echo "in $PWD"'
# Knows every label but fuzz, and its tests pass.
# shellcheck disable=SC2016
stub ctest 'case " $* " in
*" --print-labels "*) printf "All Labels:\n  unit\n  golden\n  shell\n  sample\n  guest\n  xen\n  bench\n" ;;
*) echo "report: ${HADUMP_BENCH_REPORT:-}" ;;
esac'
stub clang-format 'exit 0'

begin "refuses a label that it does not know, and says which it knows"
expect_code 2 "$tree/check" --label unit --label xen-lnog
expect_said "xen-lnog"
expect_said "format unit golden fuzz shell sample guest xen xen-long tidy tsan bench"
expect_code 2 "$tree/check" --label=
expect_code 2 "$tree/check" --label "xen xen-long"
expect_code 2 "$tree/check" --label
expect_code 2 "$tree/check" --jobs many
expect_not_called cmake

begin "runs a label that it knows"
expect_code 0 "$tree/check" --label unit
expect_called "ctest --test-dir build/dev -L ^(unit)\$"

begin "fails for a label that selects no test, whatever others do"
expect_code 1 "$tree/check" --label unit --label fuzz
expect_said "no test has the label fuzz"
expect_code 1 "$tree/check" --list --label fuzz

begin "does not claim that something passed when it only lists"
expect_code 0 "$tree/check" --list --label unit --label format
! grep -q passed "$scratch/output" || fail "says that something passed"
expect_not_called clang-format

begin "looks at every source's format, also where git does not answer"
expect_code 0 "$tree/check" --label format
expect_called "core/base/file.cc"
expect_not_called "guest/module/node.h"
stub clang-format 'echo "core/base/file.cc:1:2: error: not so" >&2; exit 1'
expect_code 1 "$tree/check" --label format
expect_said "error: not so"

begin "fails when it finds no source to look at"
stub clang-format 'exit 0'
rm "$tree/core/base/file.cc"
expect_code 1 "$tree/check" --label format
expect_said "no sources"

begin "a report's name is the caller's"
cd "$scratch/elsewhere"
expect_code 0 "$tree/check" --label bench --report figures.json
expect_said "report: $scratch/elsewhere/figures.json"

begin "so are the names that the demo is given; without any, the dump is below the tree"
expect_code 0 "$tree/demo" --report r.json
expect_said "in $scratch/elsewhere"
expect_called "python3 $tree/tests/lab/demo.py --output $tree/build/demo --report r.json"

echo "all passed"
