#!/bin/sh
# Every shell script of guest/boot and of these tests is clean, and no script of guest/boot is long.
set -eu
cd "$(dirname "$0")/../.."
scripts=$(grep -rlE '^#!/bin/(ba)?sh' guest/boot tests/shell)
# shellcheck disable=SC2086 # Our file names have no blanks.
shellcheck -x $scripts
long=$(grep -rlE '^#!/bin/(ba)?sh' guest/boot | xargs wc -l | awk '$1 >= 100 && $2 != "total"')
[ -z "$long" ] || { echo "100 lines or more: $long" && exit 1; }
