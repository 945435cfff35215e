#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The layers of docs/architecture.md: who must not include what. Prints each offender.
set -eu
cd "$(dirname "$0")/../.."

bad=0
forbid() { # pattern, reason, directories…
  local pattern=$1 reason=$2 found status=0
  shift 2
  # 1 is "none"; more is a directory that is not there, in which nothing would ever be found.
  found=$(grep -rnE --include='*.h' --include='*.cc' "^ *# *include *[<\"]($pattern)" "$@") || status=$?
  [ "$status" -le 1 ] || bad=1
  [ -z "$found" ] || { echo "$reason:"; echo "$found"; bad=1; }
}

forbid 'xen|libxl' 'Xen headers belong into hv/xen' core userspace hv/agent hv/hadumpd hv/hadump
forbid 'boost/' 'Boost is for the programs' core hv/agent hv/xen
forbid 'spdlog/' 'libraries do not log' core hv/agent
forbid 'hv/|userspace/|guest/' 'core depends on nobody' core
forbid 'core/dump/' 'reading does not need writing' core/vmcore
forbid 'hv/(xen|hadumpd|hadump)/' 'the decisions do not know the real side' hv/agent
forbid 'hv/' 'the guest side does not need the host side' userspace
forbid 'core/(dump|vmcore)/' 'base is the bottom' core/base
exit $bad
