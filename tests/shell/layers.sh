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

forbid 'xen|libxl|libxenvchan' 'Xen headers belong in hv/xen and userspace/vchan' core hv/domain hv/capture hv/rescue \
  hv/agent hv/stream hv/hadumpd hv/hadump userspace/cli userspace/dump_tools userspace/dump_mount userspace/release_region
forbid 'userspace/(cli|dump_tools|dump_mount|release_region)/' 'the channel knows no program' userspace/vchan
forbid 'boost/' 'Boost is for the programs' core hv/domain hv/capture hv/rescue hv/agent hv/stream hv/xen userspace/vchan
forbid 'spdlog/' 'libraries do not log' core hv/domain hv/capture hv/rescue hv/agent hv/stream hv/xen userspace/vchan
forbid 'hv/|userspace/|guest/' 'core depends on nobody' core
forbid 'core/(codec|vmcore|dump|save|stream)/' 'base is the bottom' core/base
forbid 'core/(codec|vmcore|dump|save)/' 'a stream knows bytes only' core/stream
forbid 'core/(vmcore|dump|save)/' 'a codec knows pages only' core/codec
forbid 'core/(dump|save)/' 'reading does not need writing' core/vmcore
forbid 'core/save/' 'the dump engine does not know the save' core/dump
forbid 'hv/(capture|rescue|agent|xen|hadumpd|hadump)/' 'the seams to a domain depend on core only' hv/domain
forbid 'hv/(rescue|agent|xen|hadumpd|hadump)/' 'a capture knows the domain and the save only' hv/capture
forbid 'hv/capture/' 'a crash run and the real side know no captures' hv/rescue hv/agent hv/xen
forbid 'hv/(agent|xen|hadumpd|hadump)/' 'a crash run knows neither policy nor the real side' hv/rescue
forbid 'hv/(xen|hadumpd|hadump)/' 'the decisions do not know the real side' hv/agent
forbid 'hv/(capture|rescue|xen|hadumpd|hadump)/' 'a stream knows policy and files only' hv/stream
forbid 'hv/(hadumpd|hadump)/' 'the real side does not know the programs' hv/xen
forbid 'userspace/release_region/' "the host must not reach the guest's program" hv
forbid 'hv/' 'the guest side does not need the host side' userspace
exit $bad
