# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced by check, demo and setup.sh: long commands that show what they are doing.

# long LOG COMMAND…: runs it with its output in LOG, shows the newest line of that every ten seconds,
# and the end of it when it fails. Returns the command's status.
long() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  long_end "$log" "$!"
}

# long_end LOG PID: the same for a command that runs in the background already.
long_end() {
  local log=$1 pid=$2 status=0 line shown=''
  while kill -0 "$pid" 2>/dev/null; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      sleep 1
      kill -0 "$pid" 2>/dev/null || break 2
    done
    line=$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-110)
    [ "$line" = "$shown" ] || printf '   %s\n' "$line"
    shown=$line
  done
  wait "$pid" || status=$?
  [ "$status" = 0 ] || tail -n 40 "$log"
  return "$status"
}

# build_preset PRESET JOBS [OPTION…]: configures and builds, with options for Ninja; says what cannot
# be built here.
build_preset() {
  local preset=$1 jobs=$2
  shift 2
  mkdir -p build
  # The same sources in another directory are no reason to compile them again.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  long "build/$preset.configure.log" cmake --preset "$preset" -DCMAKE_C_COMPILER_LAUNCHER=ccache \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache || return
  grep 'not built here' "build/$preset.configure.log" || :
  long "build/$preset.build.log" cmake --build --preset "$preset" --parallel "$jobs" -- "$@" || return
  tail -n 1 "build/$preset.build.log"
}
