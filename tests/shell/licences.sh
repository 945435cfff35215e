#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source names its licence in its first three lines, and the one that COPYING promises for its
# directory. Prints each offender. "reuse lint" then checks .reuse/dep5 and LICENSES, where installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/shell/tree_files.sh
. tests/shell/tree_files.sh

mapfile -t files < <(tree_files)
sources=()
for file in "${files[@]}"; do
  case $file in
    # .reuse/dep5 speaks for what cannot carry a line.
    *.md | *.json | COPYING | .gitignore | .reuse/* | LICENSES/*) ;;
    *) [ ! -f "$file" ] || sources+=("$file") ;; # deleted, and not committed yet
  esac
done
[ ${#sources[@]} -gt 0 ] || { echo "no sources found" >&2; exit 1; }

bad=$(awk '
  function expected(file) {
    if (file ~ /^(guest\/module|tests\/guest\/poke)\//) return "GPL-2.0-only"
    if (file ~ /^core\/abi\/|^dts\/.*\.(dts|yaml)$/) return "GPL-2.0-only OR MIT"
    return "GPL-2.0-or-later"
  }
  FNR > 3 { nextfile }
  sub(/^.*SPDX-License-Identifier[:] */, "") && !(FILENAME in found) {
    sub(/ *(\*\/)? *$/, "")
    found[FILENAME] = $0
  }
  END {
    for (i = 1; i < ARGC; i++)
      if (found[ARGV[i]] != expected(ARGV[i]))
        printf "%s: its licence is \"%s\", expected \"%s\"\n", ARGV[i], found[ARGV[i]], expected(ARGV[i])
  }' "${sources[@]}")
[ -z "$bad" ] || { echo "$bad"; exit 1; }

command -v reuse >/dev/null || exit 0
# On a copy of our files alone: without git it would read the build directory, too.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for file in "${files[@]}"; do
  [ ! -f "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$copy"
reuse --root "$copy" lint >"$copy.log" || { cat "$copy.log"; rm "$copy.log"; exit 1; }
rm "$copy.log"
