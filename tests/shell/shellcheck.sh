#!/bin/sh
# Every shell script of guest/boot and of these tests is clean, and no script of guest/boot has
# 100 lines of code.
set -eu
cd "$(dirname "$0")/../.."
scripts=$(grep -rlE '^#!/bin/(ba)?sh' guest/boot tests/shell)
# shellcheck disable=SC2086 # Our file names have no blanks.
shellcheck -x $scripts
long=$(grep -rlE '^#!/bin/(ba)?sh' guest/boot | xargs grep -cvE '^[[:space:]]*(#|$)' | awk -F: '$2 >= 100')
[ -z "$long" ] || { echo "100 lines or more: $long" && exit 1; }
