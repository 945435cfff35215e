#!/bin/bash
# Conversions of a real sample, compared page by page with what makedumpfile writes and with each
# other, and what is left when one ends early. Usage: convert.sh RELEASE-REGION COMPARE-DUMP KERNEL
# MEMORY; the sample is the one that filter.sh makes. Needs root, for a small file system.
set -eu
tool=$1 compare=$2 kernel=$3 memory=$4
makedumpfile=${HADUMP_MAKEDUMPFILE:-makedumpfile}
cache=${HADUMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hadump-lab}/samples
sample=$cache/$(printf '%s-%s' "$kernel" "$memory" | tr / _).vmcore
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

# same A B WHAT: as many pages, and each the same.
same() {
  "$compare" --dumps "$1" "$2" >"$work/found" || { cat "$work/found"; fail "$3"; }
  say "$3"
}
# covers A B WHAT: B has all pages of A, the same; it may have more.
covers() {
  "$compare" --dumps "$1" "$2" >"$work/found" || true
  if ! grep -q '"different": 0,' "$work/found" || ! grep -q '"missing": 0,' "$work/found"; then
    cat "$work/found"
    fail "$3"
  fi
  say "$3: $(grep -o '"equal": [0-9]*' "$work/found"), $(grep -o '"extra": [0-9]*' "$work/found")"
}
convert() { "$tool" convert "$@" --progress plain 2>"$work/log" || { cat "$work/log"; fail "convert $*"; }; }

for level in 0 1 31; do
  "$makedumpfile" -l -d "$level" "$sample" "$work/theirs" >/dev/null 2>&1
  convert "$sample" "$work/kdump" --format kdump --compress lzo --dump-level "$level"
  # More than theirs is one frame that RAM covers in part (0x9f); which others are kept at level 31, and
  # why, is for filter.sh to say.
  covers "$work/theirs" "$work/kdump" "level $level: makedumpfile's pages"
  [ "$level" = 31 ] || grep -q '"extra": [01],' "$work/found" || { cat "$work/found"; fail "more pages"; }
  "$tool" verify "$work/kdump" >/dev/null || fail "level $level: verify"

  convert "$work/kdump" "$work/elf" --format elf
  covers "$work/kdump" "$work/elf" "level $level: kdump to ELF"
  for codec in zlib snappy zstd; do
    convert "$work/kdump" "$work/again" --format kdump --compress $codec
    same "$work/kdump" "$work/again" "level $level: lzo to $codec"
    rm "$work/again"
  done
  convert "$work/elf" "$work/back" --format kdump --compress lzo
  covers "$work/kdump" "$work/back" "level $level: and back to kdump"

  "$tool" convert "$sample" - --format flattened --compress lzo --dump-level "$level" 2>"$work/log" |
    timeout 120 "$makedumpfile" -R "$work/rearranged" >/dev/null || { cat "$work/log"; fail "flattened"; }
  same "$work/kdump" "$work/rearranged" "level $level: flattened, put together by makedumpfile"
  rm -f "$work"/{theirs,kdump,elf,back,rearranged}
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
