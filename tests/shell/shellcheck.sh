#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every shell script of the tree is clean, and no script of guest/boot has 100 lines of code.
set -euo pipefail
cd "$(dirname "$0")/../.."
fail() { echo "FAILED: $*" >&2; exit 1; }

# Those of a directory, with more of find's expression: by their first line, and by their name those
# that are only sourced.
scripts() {
  find "$@" -type f -exec awk 'FNR == 1 && (/^#!\/bin\/(busybox |ba)?sh/ || FILENAME ~ /\.sh$/) { print FILENAME }
    FNR == 1 { nextfile }' {} + | sort
}
mapfile -t ours < <(scripts . '(' -path ./build -o -path ./.git -o -path ./tests/lab -o -path ./tests/guest ')' -prune -o)
mapfile -t lab < <(scripts tests/lab)
mapfile -t guest < <(scripts tests/guest)
for found in ${#ours[@]} ${#lab[@]} ${#guest[@]}; do
  [ "$found" -gt 0 ] || fail "found no scripts"
done

status=0
shellcheck -x -P SCRIPTDIR "${ours[@]}" || status=1
# What runs inside machines has files of its own there, names without blanks, and busybox's ulimit.
shellcheck -S warning -e SC3045 "${lab[@]}" || status=1
shellcheck -S warning -s dash "${guest[@]}" || status=1

long=$(for script in "${ours[@]}"; do
  [[ $script != ./guest/boot/* || $(grep -cvE '^[[:space:]]*(#|$)' "$script") -lt 100 ]] || echo "$script"
done)
[ -z "$long" ] || fail "100 lines of code or more: $long"
exit $status
