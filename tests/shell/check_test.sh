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
for script in setup/setup.sh lab/lab; do
  printf '#!/bin/sh\n' >"$tree/tests/$script"
  chmod +x "$tree/tests/$script"
done
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
*)
  echo "report: ${HADUMP_BENCH_REPORT:-}"
  echo " 1/3 Test  #4: quick_one ........   Passed    0.20 sec"
  echo " 2/3 Test  #7: slow_one .........   Passed   12.50 sec"
  echo " 3/3 Test #11: slower_one .......***Failed   70.01 sec"
  ;;
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

begin "shows what each test took, slowest first, and the part of CI's time that all of it took"
mkdir -p "$tree/build/dev/Testing/Temporary"
echo "PASS of_a_host_slow 60.21 s" >"$tree/build/dev/Testing/Temporary/LastTest.log"
expect_code 0 "$tree/check" --label unit
sed -n '/what each test took/,$p' "$scratch/output" | grep -E 'slow|quick' >"$scratch/times"
printf '    70.0 s  slower_one\n    60.2 s    of_a_host_slow\n    12.5 s  slow_one\n  under 1 s   quick_one\n' | diff - "$scratch/times" ||
  fail "the times are not so"
expect_said "% of the 5400 s that CI gives"
! grep -q WARNING "$scratch/output" || fail "warns without a reason"

begin "warns when it comes close to CI's limit"
stub clang-format '/bin/sleep 1.1'
HADUMP_CI_SECONDS=1 expect_code 0 "$tree/check" --label format
expect_said "WARNING: more than 75 % of CI's time"
stub clang-format 'exit 0'

begin "builds no unit tests for what needs none, and runs all such labels at once"
expect_code 0 "$tree/check" --label sample --label xen
expect_called "cmake --build --preset release --parallel $(nproc) -- machine_needs"
expect_called "ctest --test-dir build/release -L ^(sample|xen)\$"

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

begin "the demo builds what it runs, without linters, and makes the images of the kernel that is asked for"
for script in setup/setup.sh lab/lab; do
  printf '#!/bin/sh\necho "%s $*" >>"%s"\n' "${script##*/}" "$scratch/calls" >"$tree/tests/$script"
done
expect_code 0 "$tree/demo" --memory 512
expect_called "setup.sh build unit"
expect_called "setup.sh test guest lab"
expect_called "cmake --build --preset release --parallel $(nproc) -- demo_needs"
expect_called "lab build --kernel linux-image-amd64"
expect_code 0 "$tree/demo" --kernel linux-image-cloud-amd64 --vcpus 1
expect_called "lab build --kernel linux-image-cloud-amd64"
expect_code 0 "$tree/demo" --kernel=linux-image-6.12-amd64
expect_called "lab build --kernel linux-image-6.12-amd64"

begin "the demo shows why there are no images, and does not start without them"
printf '#!/bin/sh\necho "no such package"; exit 99\n' >"$tree/tests/lab/lab"
expect_code 99 "$tree/demo"
expect_said "no such package"
expect_not_called "python3 $tree/tests/lab/demo.py"

echo "all passed"
