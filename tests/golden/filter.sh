#!/bin/sh
# Makes a real sample unless the cache has it, and compares our page classes with makedumpfile's on it
# at every level. Usage: filter.sh PROGRAM KERNEL MEMORY [MAKE-VMCORE OPTIONS]
# HADUMP_MAKEDUMPFILE names another makedumpfile than Debian's, HADUMP_LEVELS fewer levels.
set -eu
program=$1 kernel=$2 memory=$3
shift 3

lab=$(cd "$(dirname "$0")/../lab" && pwd)
cache=${HADUMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hadump-lab}/samples
sample=$cache/$(printf '%s-%s' "$kernel" "$memory" | tr / _).vmcore
mkdir -p "$cache"

# One at a time: another run may be making the same sample.
exec 9>"$sample.lock"
flock 9
if [ ! -s "$sample" ]; then
  "$lab/make-vmcore" --kernel "$kernel" --memory "$memory" --console "$sample.console" "$@" \
    "$sample.new"
  mv "$sample.new" "$sample"
fi
# shellcheck disable=SC2086 # several levels are several words
"$program" "$sample" "${HADUMP_MAKEDUMPFILE:-makedumpfile}" ${HADUMP_LEVELS:-}
