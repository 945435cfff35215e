#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The help of every command and its man page have the same options, and all helps read alike.
# usage: help_test.sh PROGRAM…
set -eu
cd "$(dirname "$0")/../.."
manual=docs/man
failed=0
complain() {
  echo "$*"
  failed=1
}

# options HELP: one a line, short ones as well.
options() { grep -oP '^  \K(-[a-z] \[ )?--[a-z-]+' <<<"$1" | sed 's/ \[ /\n/' | sort -u; }

commands() { grep -oP '^  \K[a-z][a-z-]+(?= )' <<<"$1" || true; }

# synopsis PAGE COMMAND: the paragraphs that show it, each on one line.
synopsis() {
  awk -v RS= '/^# DESCRIPTION/ { exit } { sub("# SYNOPSIS\n", ""); gsub("\n", " "); print }' "$1" |
    grep -P "^\*\*$(basename "$1" .8.md)\*\* .*?\*\*$2\*\*" || true
}

check_style() { # title, help
  local first
  first=$(sed -n 2p <<<"$2")
  [[ ! $first =~ ^[a-z] ]] || complain "$1: begins with a lower-case letter: $first"
  ! grep -qP -- '--[a-z-]+ (\])? *\[?=?arg' <<<"$2" || complain "$1: a value is called arg"
  grep -qP '^  -h \[ --help \] +show this text$' <<<"$2" || complain "$1: --help is not described as elsewhere"
  ! grep -q 'as for save$' <<<"$2" || complain "$1: refers to another command's help"
  grep -q 'Exit status' <<<"$2" || complain "$1: no exit status"
  # On dump files nothing is released.
  [[ $1 != hadump* ]] || ! grep -qE 'given back|is not saved|no dump waits' <<<"$2" || complain "$1: speaks of a save"
}

check_synopsis() { # title, command, option, man page
  local line
  line=$(synopsis "$4" "$2")
  [ -n "$line" ] || { complain "$1: is not in the synopsis of $4"; return; }
  # A long list is left to the page.
  [[ $line == *'[*options*]'* || $line == *'[*OPTION*]'* || $line == *"**$3**"* ]] ||
    complain "$1: $3 is not in the synopsis of $4"
}

seen=
check_options() { # title, command, help, man page
  local all option
  mapfile -t all < <(options "$3")
  for option in "${all[@]}"; do
    seen+=" $option "
    grep -qF -e "**$option**" "$4" || complain "$1: $option is not in $4"
    # These are the same everywhere.
    [[ -z $2 || $option =~ ^(-h|--help|--socket)$ ]] || check_synopsis "$1" "$2" "$option" "$4"
  done
}

check_program() {
  local name help page all command text described on_dumps
  name=$(basename "$1")
  page=$manual/$name.8.md
  help=$("$1" --help)
  grep -qF -e --version <<<"$help" || complain "$name: --help does not show --version"
  check_options "$name" "" "$help" "$page"
  mapfile -t all < <(commands "$help")
  # Both programs have these; they are described once.
  on_dumps=" $(sed -n '/^On dumps/,/^$/ s/^  \([a-z]*\) .*/\1/p' <<<"$help" | tr '\n' ' ')"
  for command in ${all+"${all[@]}"}; do
    text=$("$1" "$command" --help)
    check_style "$name $command" "$text"
    described=$page
    [[ $on_dumps != *" $command "* ]] || described=$manual/release-region.8.md
    check_options "$name $command" "$command" "$text" "$described"
  done
}

for program; do
  check_program "$program"
done

for program; do
  page=$manual/$(basename "$program").8.md
  mapfile -t all < <(grep -oP '\*\*\K--[a-z-]+(?=\*\*)' "$page" | sort -u)
  for option in "${all[@]}"; do
    [[ $seen == *" $option "* ]] || complain "$page: no help has $option"
  done
done
[ "$(wc -w <<<"$seen")" -ge 20 ] || complain "no options were found"
exit $failed
