#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who includes what: the table of docs/architecture.md, and no circles. Prints each offender.
set -eu
cd "$(dirname "$0")/../.."
trees=(core hv userspace guest)

bad=0
complain() {
  echo "$*"
  bad=1
}

# ---- the table: `directory` | what it is | may use ----

declare -A may_use=() words_of=()
while IFS='|' read -r _ directory _ words _; do
  directory=${directory//[\` ]/}
  words_of[$directory]=${words//,/ }
  [ -d "$directory" ] || complain "docs/architecture.md: there is no directory $directory"
done < <(grep -E '^\| `(core|hv|userspace|guest)/' docs/architecture.md)
[ ${#words_of[@]} -gt 0 ] || complain "docs/architecture.md: has no table of directories"

# A word of the table is a directory, the last part of one's name, or a tree: all directories of it.
expand() { # word
  local directory found=
  for directory in "${!words_of[@]}"; do
    if [[ $directory == "$1" || $directory == "$1"/* || ( $1 != stream && $directory == */"$1" ) ]]; then
      found+=" $directory"
    fi
  done
  [ -n "$found" ] || complain "docs/architecture.md: '$1' is no directory of the table"
  expanded+="$found "
}

for directory in "${!words_of[@]}"; do
  expanded=" "
  for word in ${words_of[$directory]}; do
    [ "$word" = – ] || expand "$word"
  done
  may_use[$directory]=$expanded
done

includes() { # of our own files: FILE:LINE:#include "WHAT"
  grep -rnEo --include='*.h' --include='*.cc' --include='*.c' '^ *# *include *"[^"]+"' "${trees[@]}"
}

edges=$(mktemp)
trap 'rm -f "$edges"' EXIT
while IFS=: read -r file line text; do
  directory=${file%/*}
  what=${text#*\"}
  what=${what%\"}
  # The module finds headers of its own, and the contract, without a path.
  if [[ $what != */* ]]; then
    if [ "$what" = hadump_abi.h ]; then what=core/abi/$what; else what=$directory/$what; fi
  fi
  echo "${file%.*} ${what%.*}" >>"$edges"
  [ "$directory" != "${what%/*}" ] || continue
  if [ -z "${may_use[$directory]+there}" ]; then
    complain "docs/architecture.md: $directory is not in the table"
    may_use[$directory]=" "
  fi
  [[ ${may_use[$directory]} == *" ${what%/*} "* ]] || complain "$file:$line: $directory may not use ${what%/*}"
done < <(includes)

# ---- other people's headers ----

only() { # pattern, reason, directories that may…
  local pattern=$1 reason=$2 found
  shift 2
  found=$(grep -rnE --include='*.h' --include='*.cc' "^ *# *include *[<\"]($pattern)" "${trees[@]}" |
    grep -vE "^($(IFS='|'; echo "$*"))/" || true)
  [ -z "$found" ] || complain "$reason:"$'\n'"$found"
}

programs=(hv/hadumpd hv/hadump userspace/cli userspace/dump_tools userspace/dump_mount userspace/release_region)
only 'xen|libxl|libxenvchan' 'Xen headers belong in hv/xen and userspace/vchan' hv/xen userspace/vchan
only 'boost/' 'Boost is for the programs' "${programs[@]}"
only 'spdlog/' 'libraries do not log' "${programs[@]}"

# ---- circles ----

# no_circle WHAT FILE: its lines are "user used".
no_circle() {
  local said
  said=$(awk '$1 != $2' "$2" | tsort 2>&1 >/dev/null) || complain "$1 use each other in a circle:"$'\n'"${said//tsort: /  }"
}

# A unit is X.h with X.cc or X.c.
no_circle 'units' "$edges"

# In the module, by calls: hadump.h says which function is whose.
calls=$(mktemp)
trap 'rm -f "$edges" "$calls"' EXIT
module=guest/module
owners() {
  awk '/^\/\* [a-z_]+\.c/ { unit = $2; sub(/[:,]$/, "", unit) }
       unit && match($0, /^[a-z].*hadump_[a-z_]+\(/) { match($0, /hadump_[a-z_]+\(/); print substr($0, RSTART, RLENGTH - 1), unit }' \
    "$module/hadump.h"
}
if [ -f "$module/hadump.h" ]; then
  while read -r function unit; do
    for file in $(grep -lE "\b$function\(" "$module"/*.c || true); do
      echo "${file##*/} $unit" >>"$calls"
    done
  done < <(owners)
fi
no_circle "the module's parts" "$calls"
exit $bad
