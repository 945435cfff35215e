#!/bin/sh
# Makes a real sample unless the cache has it, and compares our dumps with makedumpfile's on it at
# every level. Usage: filter.sh PROGRAM RELEASE-REGION LISTING KERNEL MEMORY [MAKE-VMCORE OPTIONS]
# HADUMP_MAKEDUMPFILE names another makedumpfile than Debian's, HADUMP_LEVELS fewer levels.
set -eu
program=$1 tool=$2 listing=$3
shift 3
# shellcheck source=tests/golden/sample.sh
. "$(dirname "$0")/sample.sh"
make_sample "$@"
# shellcheck disable=SC2086 # several levels are several words
"$program" "$sample" "$tool" "${HADUMP_MAKEDUMPFILE:-makedumpfile}" "$listing" ${HADUMP_LEVELS:-}
