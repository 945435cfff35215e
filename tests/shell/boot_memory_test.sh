#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest/boot/hadump-boot-memory: what it takes for the boot's memory, and when it says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

script=$here/../../guest/boot/hadump-boot-memory
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_PROC_DIR="$scratch/proc" HADUMP_RUN_DIR="$scratch/run"
PATH="$scratch/bin:$PATH"
measured=$scratch/kernel/hadump/boot_memory
mkdir -p "$scratch/proc"
stub sleep 'exit 0'
stub systemctl 'exit 1'

# meminfo: 1000 MiB, of which 500 are free, 200 files' pages and 64 huge pages; 236 are taken.
meminfo() {
	cat >"$scratch/proc/meminfo" <<-TEXT
		MemTotal:        1024000 kB
		MemFree:          512000 kB
		MemAvailable:     600000 kB
		Cached:           300000 kB
		Active(anon):      50000 kB
		Active(file):     100000 kB
		Inactive(file):   104800 kB
		Unevictable:       40000 kB
		Hugetlb:           65536 kB
	TEXT
}
expect_measured() { [ "$(cat "$measured")" = "$1" ] || fail "$(cat "$measured") is measured, not $1"; }
meminfo

begin "without the module it does nothing"
expect_code 0 "$script"
[ ! -e "$measured" ] || fail "makes a file"
expect_not_called sleep

begin "what is free, what files have and huge pages do not count"
echo 1000 >"$measured"
expect_code 0 "$script"
expect_measured 241664
expect_called "sleep 60"
[ ! -s "$scratch/output" ] || fail "says something"

begin "the time of the initramfs counts if it took more"
echo 300000 >"$measured"
expect_code 0 "$script"
expect_measured 300000

begin "under systemd it waits for the end of the boot, however that ends"
mkdir -p "$scratch/run/systemd/system"
: >"$scratch/calls"
echo 1000 >"$measured"
expect_code 0 "$script"
expect_called "systemctl is-system-running --wait"
expect_not_called sleep
expect_measured 241664

begin "it need not wait"
: >"$scratch/calls"
echo 1000 >"$measured"
expect_code 0 "$script" now
expect_not_called systemctl
expect_measured 241664

begin "a boot in the window is no measure, also if that was not known at first"
stub systemctl ": >'$scratch/kernel/release_region'"
echo 1000 >"$measured"
expect_code 0 "$script"
expect_measured 1000

begin "an older kernel that does not tell of huge pages, and nonsense"
rm "$scratch/kernel/release_region"
stub systemctl 'exit 0'
echo "MemTotal: 10 kB" >"$scratch/proc/meminfo"
echo "MemFree: 4 kB" >>"$scratch/proc/meminfo"
echo 0 >"$measured"
expect_code 0 "$script"
expect_measured 6
echo "MemFree: 40 kB" >>"$scratch/proc/meminfo"
echo 0 >"$measured"
expect_code 0 "$script"
expect_measured 0

echo "all passed"
