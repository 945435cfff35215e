#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes a real sample unless the cache has it, and compares our dumps with makedumpfile's on it at
# every level. Usage: filter.sh PROGRAM RELEASE-REGION LISTING KERNEL MEMORY [MAKE-VMCORE OPTIONS]
# HADUMP_MAKEDUMPFILE names another makedumpfile than Debian's, HADUMP_LEVELS fewer levels.
set -eu
program=$1 tool=$2 listing=$3
shift 3
# shellcheck source=tests/golden/sample.sh
. "$(dirname "$0")/sample.sh"
make_sample "$@"

# Without these the comparison would not say what it is meant to.
loaded() {
  grep -q "LOAD: $1" "$sample.console" || { echo "FAIL: the sample lacks: $1"; exit 1; }
}
case $1 in
  *-cloud-*) ;; # has no CONFIG_MEMORY_FAILURE
  *) for kind in 'small page' 'huge page' 'shared memory' hugetlb; do loaded "bad, $kind: 1 page"; done ;;
esac
case $* in *hugepagesz=1G*) loaded 'hugetlb, 1 GiB: 1024 MiB' ;; esac

# shellcheck disable=SC2086 # several levels are several words
"$program" "$sample" "$tool" "${HADUMP_MAKEDUMPFILE:-makedumpfile}" "$listing" ${HADUMP_LEVELS:-}
