#!/bin/bash
# The layers of docs/architecture.md: who must not include what. Prints each offender.
set -eu
cd "$(dirname "$0")/../.."

bad=0
forbid() { # pattern, reason, directories…
  local pattern=$1 reason=$2 found
  shift 2
  found=$(grep -rnE --include='*.h' --include='*.cc' "^ *# *include *[<\"]($pattern)" "$@" || true)
  [ -z "$found" ] || { echo "$reason:"; echo "$found"; bad=1; }
}

forbid 'xen|libxl' 'Xen headers belong into hv/xen' core userspace hv/agent hv/capture hv/hadumpd hv/hadump
forbid 'boost/' 'Boost is for the programs' core hv/agent hv/capture hv/xen
forbid 'spdlog/' 'libraries do not log' core hv/agent hv/capture
forbid 'hv/|userspace/|guest/' 'core depends on nobody' core
forbid 'core/dump/' 'reading does not need writing' core/vmcore
forbid 'hv/(xen|hadumpd|hadump)/' 'the decisions do not know the real side' hv/agent hv/capture
forbid 'hv/' 'the guest side does not need the host side' userspace
forbid 'core/(dump|vmcore)/' 'base is the bottom' core/base
exit $bad
