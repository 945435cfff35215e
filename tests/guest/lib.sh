# SPDX-License-Identifier: GPL-2.0-or-later
# What scenarios say facts with. Each prints one line; the runner looks for FAIL.
# shellcheck disable=SC2034 # The scenarios use both.
REGION=/sys/kernel/release_region
# shellcheck disable=SC2034
HADUMP=/sys/kernel/hadump
NODE=$(sed -n 's/.*hadump\.node=\([^ ]*\).*/\1/p' /proc/cmdline)

# fact TEXT COMMAND…: the command must succeed.
fact() {
  text=$1
  shift
  if "$@"; then echo "ok $text"; else echo "FAIL $text: $*"; fi
}

# same TEXT WANTED GOT
same() {
  if [ "$2" = "$3" ]; then echo "ok $1"; else echo "FAIL $1: wanted '$2', got '$3'"; fi
}

# refused FILE TEXT ERROR: writing TEXT must fail with this errno's text.
refused() {
  error=$( (echo -n "$2" > "$1") 2>&1 ) && { echo "FAIL '$2' to $1 was taken"; return; }
  case $error in
    *"$3"*) echo "ok '$2' to ${1##*/} is refused: $3" ;;
    *) echo "FAIL '$2' to $1: wanted $3, got $error" ;;
  esac
}

# taken FILE TEXT: writing must succeed.
taken() {
  error=$( (echo -n "$2" > "$1") 2>&1 ) && { echo "ok '$2' to ${1##*/} is taken"; return; }
  echo "FAIL '$2' to $1: $error"
}

load() {
  insmod /hadump.ko node="${1:-$NODE}"
}

mem_total_kib() {
  sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo
}

# between LOW VALUE HIGH
between() {
  [ "$1" -le "$2" ] && [ "$2" -le "$3" ]
}

# First 8 bytes of the page of /proc/vmcore that the ELF header says is physical ADDRESS, as a
# hexadecimal number. The loads of the made-up dump: the window of 16 MiB, then held memory.
vmcore_word() {
  address=$(($1))
  offset=$(vmcore_offset "$address") || { echo none; return; }
  dd if=/proc/vmcore bs=8 skip=$((offset / 8)) count=1 2>/dev/null | od -An -tx8 |
    sed 's/ *0*\([0-9a-f]\)/\1/'
}

# The program headers of /proc/vmcore, one "p_offset p_paddr p_memsz" line for each PT_LOAD.
vmcore_loads() {
  n=$(dd if=/proc/vmcore bs=2 skip=28 count=1 2>/dev/null | od -An -tu2)
  dd if=/proc/vmcore bs=8 skip=8 count=$((n * 7)) 2>/dev/null | od -An -v -w56 -tu8 |
    while read -r type offset _ paddr _ memsz _; do
      [ $((type & 0xffffffff)) != 1 ] || echo "$offset $paddr $memsz"
    done
}

vmcore_offset() {
  [ -s /tmp/loads ] || vmcore_loads > /tmp/loads
  while read -r offset paddr memsz; do
    if [ "$1" -ge "$paddr" ] && [ "$1" -lt $((paddr + memsz)) ]; then
      echo $((offset + $1 - paddr))
      return 0
    fi
  done < /tmp/loads
  return 1
}
