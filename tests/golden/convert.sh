#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Conversions of a real sample from format to format and back, compared page by page, and what is left
# when one ends early. Usage: convert.sh RELEASE-REGION SAME-PAGES KERNEL MEMORY; the sample is the
# one that filter.sh makes. Needs root, for a small file system.
set -eu
tool=$1 same_pages=$2
makedumpfile=${HADUMP_MAKEDUMPFILE:-makedumpfile}
# shellcheck source=tests/golden/sample.sh
. "$(dirname "$0")/sample.sh"
sample=$(sample_path "$3" "$4")
[ -s "$sample" ] || { echo "no sample: filter.sh makes it"; exit 1; }

work=$(mktemp -d)
mounted=
cleanup() {
  [ -z "$mounted" ] || umount "$work/small"
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; exit 1; }
say() { echo "ok: $*"; }

# same A B WHAT [--short-gaps]: as many pages, and each the same.
same() {
  "$same_pages" "$1" "$2" "${@:4}" >"$work/found" || { cat "$work/found"; fail "$3"; }
  say "$3: $(cat "$work/found")"
}
convert() { "$tool" convert "$@" --progress plain 2>"$work/log" || { cat "$work/log"; fail "convert $*"; }; }

for level in ${HADUMP_LEVELS:-0 1 30 31}; do
  convert "$sample" "$work/kdump" --format kdump --compress lzo --dump-level "$level"
  "$tool" verify "$work/kdump" >/dev/null || fail "level $level: verify"
  # A codec takes a page as it is, whatever was left out beside it.
  codecs='zlib snappy zstd'
  [ "$level" = 1 ] || codecs=
  for codec in $codecs; do
    convert "$work/kdump" "$work/again" --format kdump --compress "$codec"
    same "$work/kdump" "$work/again" "level $level: lzo to $codec"
    rm "$work/again"
  done

  # An ELF core has zeros where fewer than 256 pages were left out, and does not tell them from pages
  # of zeros. The level, given once more, leaves them out again: the very same pages come back. Bad
  # pages are left out by every conversion.
  convert "$work/kdump" "$work/elf" --format elf
  same "$work/kdump" "$work/elf" "level $level: kdump to ELF" --short-gaps
  convert "$work/elf" "$work/back" --format kdump --compress lzo
  same "$work/back" "$work/elf" "level $level: ELF to kdump" --short-gaps
  convert "$work/elf" "$work/again" --format kdump --compress lzo --dump-level "$level"
  same "$work/kdump" "$work/again" "level $level: kdump to ELF to kdump"
  rm "$work/elf"
  convert "$work/back" "$work/elf" --format elf
  same "$work/back" "$work/elf" "level $level: ELF to kdump to ELF" --short-gaps

  # A domain's core tells pages that were left out from pages of zeros, which cost it nothing.
  convert "$work/kdump" "$work/xen" --format xen
  "$tool" verify "$work/xen" >/dev/null || fail "level $level: verify a domain's core"
  convert "$work/xen" "$work/returned" --format kdump --compress lzo --dump-level "$level"
  same "$work/kdump" "$work/returned" "level $level: kdump to a domain's core to kdump"

  "$tool" convert "$sample" - --format flattened --compress lzo --dump-level "$level" 2>"$work/log" |
    timeout 120 "$makedumpfile" -R "$work/rearranged" >/dev/null || { cat "$work/log"; fail "flattened"; }
  same "$work/kdump" "$work/rearranged" "level $level: flattened, put together by makedumpfile"
  rm -f "$work"/{kdump,elf,xen,back,again,returned,rearranged}
done

# A file system that is full in the middle.
mkdir "$work/small"
mount -t tmpfs -o size=16m tmpfs "$work/small"
mounted=1
code=0
"$tool" convert "$sample" "$work/small/dump" --format kdump --compress lzo 2>"$work/log" || code=$?
[ $code = 4 ] || { cat "$work/log"; fail "a full file system ends with status 4, not $code"; }
[ ! -e "$work/small/dump" ] || fail "a dump that is not whole has no final name"
partial=$(find "$work/small" -type f -size +1M | head -1)
[ -n "$partial" ] || { ls -la "$work/small"; fail "the partial dump is kept"; }
"$tool" info "$partial" >"$work/info" 2>&1 || true
grep -qi incomplete "$work/info" || { cat "$work/info"; fail "info says that it is incomplete"; }
say "a full file system: status 4, a partial dump that says so"

# A disk that is full in the middle of direct writes (ext4 has them, tmpfs has not). What did not fit is
# written again at the next level, which has room. The level, given once more, leaves out of the steps
# before that what they had kept.
umount "$work/small"
mounted=
[ "$(du -m "$sample" | cut -f 1)" -gt 256 ] || fail "the sample fits as it is"
truncate -s 256M "$work/disk"
mke2fs -q -F -t ext4 -m 0 "$work/disk"
mount -o loop "$work/disk" "$work/small"
mounted=1
dd if=/dev/zero of="$work/small/direct" bs=4096 count=1 oflag=direct status=none
rm "$work/small/direct"
"$tool" save --vmcore "$sample" --to "$work/small/dump" --format elf --dump-level 0,31 --portion 1G \
  --progress plain 2>"$work/log" || { cat "$work/log"; fail "the next level has room"; }
"$tool" verify "$work/small/dump" >/dev/null || fail "verify what was written again"
convert "$sample" "$work/kdump" --format kdump --compress lzo --dump-level 31
convert "$work/small/dump" "$work/again" --format kdump --compress lzo --dump-level 31
same "$work/kdump" "$work/again" "a full disk, direct writes, and a level with room"
rm "$work"/{kdump,again}

# Killed in the middle.
"$tool" convert "$sample" "$work/killed" --format kdump --compress zlib:9 --threads 1 2>/dev/null &
pid=$!
until [ -n "$(find "$work" -maxdepth 1 -name '*killed*' -size +4M)" ]; do
  kill -0 $pid || fail "it ended before it could be killed"
  sleep 0.05
done
kill -KILL $pid
wait $pid || true
[ ! -e "$work/killed" ] || fail "a killed dump has no final name"
partial=$(find "$work" -maxdepth 1 -name '*killed*' -size +1M | head -1)
"$tool" info "$partial" >"$work/info" 2>&1 || true
grep -qi incomplete "$work/info" || { cat "$work/info"; fail "info says that a killed dump is incomplete"; }
say "killed: a partial dump that says so"
