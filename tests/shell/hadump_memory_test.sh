#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest/boot/hadump-memory: what it keeps away while a dump waits, and what it sets when all is back.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

memory=$here/../../guest/boot/hadump-memory
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_PROC_DIR="$scratch/proc" HADUMP_RUN_DIR="$scratch/run"
export HADUMP_NODES_DIR="$scratch/node" HADUMP_RELEASE_REGION="$scratch/bin/release-region"
export HADUMP_BOOT_MEMORY="$scratch/bin/boot-memory"
export HADUMP_SYSCTL="$scratch/bin/systemd-sysctl" HADUMP_TRIES=3
PATH="$scratch/bin:$PATH"
override=$scratch/run/sysctl.d/zzzz-hadump-window.conf
two=$scratch/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
one=$scratch/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages
node0=$scratch/node/node0/hugepages/hugepages-2048kB/nr_hugepages
node1=$scratch/node/node1/hugepages/hugepages-2048kB/nr_hugepages
mkdir -p "$scratch/proc/sys/vm"
for file in "$two" "$one" "$node0" "$node1"; do mkdir -p "${file%/*}"; done
printf 'MemTotal: 1 kB\nHugepagesize:       2048 kB\n' >"$scratch/proc/meminfo"

stub release-region 'exit 0'
stub boot-memory 'exit 0'
stub systemd-sysctl 'exit 0'
stub sleep 'exit 0'

# expect_noted TEXT: for release-region status.
expect_noted() {
	grep -qF -- "$1" "$scratch/run/hadump/not-restored" || fail "it is not noted: $1"
}

# cmdline WORD…: and nothing is set yet.
cmdline() {
	printf '%s\n' "root=/dev/xvda $*" >"$scratch/proc/cmdline"
	for file in "$two" "$one" "$node0" "$node1"; do echo 0 >"$file"; done
}
expect_pages() { [ "$(cat "$1")" = "$2" ] || fail "$1 is $(cat "$1"), not $2"; }

begin "an ordinary boot is left alone"
cmdline quiet
expect_code 0 "$memory" early
[ ! -e "$override" ] || fail "keeps settings away without a dump"
expect_code 0 "$memory" restore
expect_not_called release-region
expect_not_called systemd-sysctl
[ ! -s "$scratch/output" ] || fail "says something"

begin "huge pages of the default size come back"
cmdline hadump.node=0x1000 hadump.held=hugepages=64
expect_code 0 "$memory" restore
expect_pages "$two" 64
expect_said "huge pages of 2048 kB: 64"

begin "and those of any size and node"
cmdline "hadump.held=hugepages-1048576kB=4;hugepages-2048kB=0:512,1:7"
expect_code 0 "$memory" restore
expect_pages "$one" 4
expect_pages "$node0" 512
expect_pages "$node1" 7
expect_pages "$two" 0

begin "what cannot come back is named"
cmdline "hadump.held=crashkernel;hugepages=2;cma"
expect_code 0 "$memory" restore
expect_said "not before the next reboot: crashkernel cma"
expect_noted "not before the next reboot: crashkernel cma"
expect_pages "$two" 2

begin "more than was asked for stays"
cmdline hadump.held=hugepages=64
echo 100 >"$two"
expect_code 0 "$memory" restore
expect_pages "$two" 100

begin "it waits until all memory is back"
: >"$scratch/kernel/release_region"
stub release-region "[ \"\$(cat '$two')\" = 0 ]"
cmdline hadump.held=hugepages=64
expect_code 0 "$memory" restore
expect_called "release-region wait"
expect_called "boot-memory now"
expect_pages "$two" 64

begin "and sets nothing when that fails"
stub release-region 'exit 1'
cmdline hadump.held=hugepages=64
expect_code 1 "$memory" restore
expect_pages "$two" 0
stub release-region 'exit 0'
stub boot-memory 'exit 0'

begin "a size that the kernel does not have, and pages that there is no room for, are missing"
cmdline "hadump.held=hugepages-4kB=1;hugepages-2048kB=9:1;hugepages-1048576kB=4"
expect_code 1 "$memory" restore
expect_said "huge pages of 4 kB: 1 are wanted, none are there"
expect_said "huge pages of 2048 kB on node 9: 1 are wanted, none are there"
expect_noted "huge pages of 2048 kB on node 9: 1 are wanted"
expect_pages "$one" 4
# A file that takes nothing, not even from root: like a kernel without room.
ln -sf /proc/sys/kernel/ngroups_max "$two"
printf '%s\n' hadump.held=hugepages=99999999 >"$scratch/proc/cmdline"
expect_code 1 "$memory" restore
expect_said "huge pages of 2048 kB: 99999999 are wanted, 65536 are there"
rm "$two"

begin "what has been set meanwhile is not missing any more"
cmdline hadump.held=hugepages=4
expect_code 0 "$memory" restore
[ -z "$(ls "$scratch/run/hadump")" ] || fail "notes are left"

begin "what is damaged does no harm"
# shellcheck disable=SC2016 # Nothing is to be expanded.
for held in 'hugepages=' 'hugepages=x' 'hugepages=64x' 'hugepages=08' 'hugepages=99999999999999' 'hugepages=-1' \
	'hugepages=0:' 'hugepages=:1' 'hugepages=0:1:2' 'hugepages=0:1,' 'hugepages=99999:1' 'hugepages=0/../1:5' \
	'hugepages-kB=1' 'hugepages-../..kB=1' 'hugepages-2048=1' 'hugepages-2048kBx=1' 'HUGEPAGES=1' '$(id)' \
	'`id`' '*' 'a/b' '"hugepages=1' '=' ';;;' 'a=b'; do
	cmdline "hadump.held=$held"
	expect_code 0 "$memory" restore
	for file in "$two" "$one" "$node1"; do expect_pages "$file" 0; done
done
cmdline "hadump.held=x!;hugepages=5"
expect_code 0 "$memory" restore
expect_said "'x!' in hadump.held= is not known, ignoring it"
expect_pages "$two" 5
cmdline "hadump.held=$(printf '%0600d' 0);hugepages=5"
expect_code 0 "$memory" restore
expect_said "too long"
expect_pages "$two" 0

begin "the last one counts, and what is init's does not"
cmdline "hadump.held=hugepages=1 hadump.held=hugepages=2 -- hadump.held=hugepages=3"
expect_code 0 "$memory" restore
expect_pages "$two" 2

begin "settings for the full memory are kept away while a dump waits"
cmdline quiet
mkdir -p "$scratch/run/systemd/system"
echo 0 >"$scratch/proc/sys/vm/nr_hugepages"
echo 2345 >"$scratch/proc/sys/vm/min_free_kbytes"
expect_code 0 "$memory" early
grep -qx 'vm.nr_hugepages = 0' "$override" || fail "nr_hugepages is not kept away"
grep -qx 'vm.min_free_kbytes = 2345' "$override" || fail "min_free_kbytes is not kept away"
! grep -q mempolicy "$override" || fail "names what this kernel does not have"

begin "and are set when all is back"
expect_code 0 "$memory" restore
[ ! -e "$override" ] || fail "keeps them away for ever"
expect_called "systemd-sysctl --prefix=/vm/nr_hugepages --prefix=/vm/nr_hugepages_mempolicy --prefix=/vm/min_free_kbytes"
: >"$scratch/calls"
expect_code 0 "$memory" restore
expect_not_called systemd-sysctl

begin "without systemd, whatever sets them meanwhile sets nothing"
rm -r "$scratch/run/systemd"
# In place of the mount: what is written goes to the hidden file.
# shellcheck disable=SC2016 # The stub's own words.
stub mount 'ln -sf "$2" "$3"'
# shellcheck disable=SC2016 # likewise
stub umount 'rm "$1" && cp -a "$1.real" "$1"'
vm=$scratch/proc/sys/vm
hide() {
	echo 0 >"$vm/nr_hugepages.real"
	echo 2345 >"$vm/min_free_kbytes.real"
	for name in nr_hugepages min_free_kbytes; do
		rm -f "$vm/$name"
		cp "$vm/$name.real" "$vm/$name"
	done
	expect_code 0 "$memory" early
}
hide
[ ! -e "$override" ] || fail "overrides what procps does not read"
echo 64 >"$vm/nr_hugepages"
expect_code 0 "$memory" early
expect_code 0 "$memory" restore
[ "$(cat "$vm/nr_hugepages")" = 64 ] || fail "is not set afterwards"
[ "$(cat "$vm/min_free_kbytes")" = 2345 ] || fail "sets what nobody wanted"
[ ! -e "$scratch/run/hadump/sysctl" ] || fail "leaves files"
: >"$scratch/calls"
expect_code 0 "$memory" restore
expect_not_called umount

begin "and what could not be set is named"
hide
# shellcheck disable=SC2016 # likewise
stub umount 'rm "$1" && ln -s /proc/sys/kernel/ngroups_max "$1"'
echo 99999999 >"$vm/nr_hugepages"
expect_code 0 "$memory" restore
expect_said "vm.nr_hugepages = 99999999 was wanted, and is 65536"
expect_noted "vm.nr_hugepages = 99999999 was wanted"
: >"$scratch/calls"
stub mount 'exit 32'
rm -f "$vm"/*.real "$vm"/*
echo 0 >"$vm/nr_hugepages"
expect_code 0 "$memory" early
expect_said "vm.nr_hugepages cannot be kept away"
stub umount 'exit 32'
expect_code 0 "$memory" restore
expect_not_called umount

begin "refuses an unknown command"
expect_code 2 "$memory"
expect_code 2 "$memory" dance

echo "all passed"
