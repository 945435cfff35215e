#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Opens what we make of a real sample in makedumpfile, libkdumpfile, crash and drgn. They must find what
# they find in the sample, and what the guest has said on its console about itself (facts.py): a
# comparison alone holds, too, when a reader understands neither.
# Where Debian's debug kernel of the sample is installed (linux-image-RELEASE-dbg, or unpacked in the
# directory HADUMP_DEBUG instead of /usr/lib/debug), crash and drgn go through its structures too.
# Usage: readers.sh RELEASE-REGION SAME-PAGES KERNEL MEMORY; the sample is the one of filter.sh.
set -eu
tool=$1 same_pages=$2
makedumpfile=${HADUMP_MAKEDUMPFILE:-makedumpfile}
# shellcheck source=tests/golden/sample.sh
. "$(dirname "$0")/sample.sh"
sample=$(sample_path "$3" "$4")
[ -s "$sample" ] || { echo "no sample: filter.sh makes it"; exit 1; }

# Beside the samples: /tmp may be small.
work=$(mktemp -d -p "$samples")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAIL: $*"; exit 1; }
say() { echo "ok: $*"; }
quietly() { "$@" >log 2>&1 || { cat log; fail "$*"; }; }
facts() { /usr/bin/python3 "$golden/facts.py" "$1" "$sample.console" "$2"; }
same() { # A B WHAT [--short-gaps]
  "$same_pages" "$1" "$2" "${@:4}" >found || { cat found; fail "$3"; }
  say "$3: $(cat found)"
}

quietly "$tool" convert "$sample" lzo --format kdump --compress lzo
quietly "$tool" convert "$sample" zstd --format kdump --compress zstd
quietly "$tool" convert "$sample" elf --format elf
quietly "$tool" convert "$sample" lzo31 --format kdump --compress lzo --dump-level 31
quietly "$tool" convert "$sample" elf31 --format elf --dump-level 31
quietly "$tool" save --vmcore "$sample" --to part1 part2 part3 --format kdump --compress lzo --dump-level 31
"$tool" convert "$sample" - --format flattened --compress lzo --dump-level 31 >flat 2>log ||
  { cat log; fail "flattened"; }

# makedumpfile. Debian's has no zstd, and reads the flattened form with -R only, its own as well.
quietly "$makedumpfile" --reassemble part1 part2 part3 joined
same lzo31 joined "a split dump, put together by makedumpfile"
quietly "$makedumpfile" -R joined -f <flat
same lzo31 joined "a flattened dump, put together by makedumpfile"
quietly "$makedumpfile" --dump-dmesg "$sample" dmesg
facts log dmesg || fail "makedumpfile and the sample's log"
for dump in lzo elf lzo31 elf31; do
  quietly "$makedumpfile" -f --dump-dmesg "$dump" "dmesg.$dump"
  cmp dmesg "dmesg.$dump" || fail "makedumpfile finds another log in $dump"
done
say "makedumpfile finds the guest's log in kdump and ELF files"
for dump in lzo elf; do
  quietly "$makedumpfile" -f -l -d 31 "$dump" filtered
  same lzo31 filtered "makedumpfile -d 31 of $dump"
done

# libkdumpfile, where compare-dump and same_pages do not use it anyway.
same lzo31 part1,part2,part3 "a split dump, opened as one by libkdumpfile"

# It has zeros for the frame before each segment, in every ELF core; and bad pages are zeros in ours.
same lzo elf, "an ELF core, opened by libkdumpfile" --short-gaps

# crash, without a debug kernel: that it takes the file for a dump of this kernel.
release=$(sed -n 's/^release //p' "$sample.console" | tr -d '\r')
[ -n "$release" ] || fail "the console does not say the release"
for dump in lzo zstd elf lzo31 elf31 flat "part1 part2 part3"; do
  # shellcheck disable=SC2086 # a split dump is several words
  found=$(timeout 60 crash --osrelease $dump) || fail "crash does not open $dump"
  [ "$found" = "$release" ] || fail "crash: $dump is of '$found', not of $release"
done
say "crash knows $release in every form"

# drgn wants the flattened form put together, and takes one file of a split dump.
for dump in lzo zstd elf lzo31 elf31 part2; do
  timeout 300 /usr/bin/python3 "$golden/open_in_drgn.py" "$sample" "$dump" || fail "drgn: $dump"
done

vmlinux=${HADUMP_DEBUG:-/usr/lib/debug}/boot/vmlinux-$release
if [ ! -e "$vmlinux" ]; then
  say "no $vmlinux: crash and drgn have not looked at the kernel's structures"
  exit 0
fi
crash_finds() { # DIRECTORY DUMP…
  mkdir "$1"
  for command in sys bt log ps 'kmem -i'; do echo "$command > $1/${command% *}"; done >commands
  printf '%s\n' "bt -a > $1/bt-a" quit >>commands
  timeout 600 crash -s -i commands "$vmlinux" "${@:2}" </dev/null >"$1/said" 2>&1 || { cat "$1/said"; return 1; }
  # What it says of the file itself.
  sed -i '/^ *DUMPFILES\?:/,/^ *CPUS:/{/CPUS:/!d}' "$1/sys"
}
crash_finds crash.sample "$sample" || fail "crash and the sample"
facts crash crash.sample || fail "crash and the sample's facts"
for dump in lzo zstd elf flat "part1 part2 part3"; do
  rm -rf crash.dump
  # shellcheck disable=SC2086 # a split dump is several words
  crash_finds crash.dump $dump || fail "crash: $dump"
  facts crash crash.dump || fail "crash: the guest's facts in $dump"
  diff -r crash.sample crash.dump || fail "crash shows something else of $dump"
  say "crash: sys, bt, log, ps and kmem -i of $dump are the sample's and the guest's"
done
for dump in lzo zstd elf elf31; do
  timeout 600 /usr/bin/python3 "$golden/open_in_drgn.py" "$sample" "$dump" "$vmlinux" ||
    fail "drgn: $dump with the debug kernel"
done
