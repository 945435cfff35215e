#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The other boot files: hooks ask for the module and survive its absence, the unit is one that
# systemd takes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
boot=$here/../../guest/boot
PATH="$scratch/bin:$PATH"

begin "the initramfs hook adds the module"
echo 'manual_add_modules() { echo "add $*"; }' >"$scratch/functions"
HADUMP_HOOK_FUNCTIONS="$scratch/functions" expect_code 0 "$boot/initramfs-tools/hooks/hadump"
expect_said "add hadump"
expect_code 0 "$boot/initramfs-tools/hooks/hadump" prereqs

begin "the init-top script loads it"
stub modprobe 'exit 0'
expect_code 0 "$boot/initramfs-tools/scripts/init-top/hadump"
expect_called "modprobe -q hadump can_rescue=1"
expect_code 0 "$boot/initramfs-tools/scripts/init-top/hadump" prereqs

begin "and the boot goes on without it"
stub modprobe 'exit 1'
expect_code 0 "$boot/initramfs-tools/scripts/init-top/hadump"

begin "it comes before udev"
tools=${HADUMP_INITRAMFS_TOOLS:-/usr/share/initramfs-tools}
[ -e "$tools/hook-functions" ] || fail "initramfs-tools-core is not installed"
[ -e "$tools/scripts/init-top/udev" ] || fail "udev is not installed"
mkdir -p "$scratch/initramfs/scripts/init-top"
cp "$tools"/scripts/init-top/* "$boot/initramfs-tools/scripts/init-top/hadump" \
	"$scratch/initramfs/scripts/init-top/"
cat >"$scratch/order" <<-ORDER
	. $tools/scripts/functions
	. $tools/hook-functions
	get_source() { echo "$scratch/initramfs/scripts/init-top/\${1##*/}"; }
	verbose=n
	CONFDIR=/nonexistent
	cache_run_scripts "$scratch/initramfs" /scripts/init-top
ORDER
expect_code 0 sh "$scratch/order"
order=$(grep -oE 'init-top/(hadump|udev)' "$scratch/initramfs/scripts/init-top/ORDER" | uniq | tr '\n' ' ')
[ "$order" = "init-top/hadump init-top/udev " ] || fail "the order is $order"

begin "so does the rescue, whose disks may still appear"
[ -e "$tools/scripts/init-bottom/udev" ] || fail "udev is not installed"
mkdir -p "$scratch/initramfs/scripts/init-bottom"
cp "$tools"/scripts/init-bottom/* "$boot/initramfs-tools/scripts/init-bottom/hadump" \
	"$scratch/initramfs/scripts/init-bottom/"
sed -i s/init-top/init-bottom/g "$scratch/order"
expect_code 0 sh "$scratch/order"
order=$(grep -oE 'init-bottom/(hadump|udev)' "$scratch/initramfs/scripts/init-bottom/ORDER" | uniq | tr '\n' ' ')
[ "$order" = "init-bottom/hadump init-bottom/udev " ] || fail "the order is $order"

begin "the dracut module installs module and hook"
cat >"$scratch/dracut" <<DRACUT
kernel=x initdir=$scratch/dracut-initramfs moddir=$boot/dracut/90hadump
modinfo() { return 0; }
instmods() { echo "instmods \$*"; }
inst_multiple() { :; }
inst_hook() { echo "inst_hook \$*"; [ -x "\$3" ]; }
. "$boot/dracut/90hadump/module-setup.sh"
check && depends && installkernel && install
DRACUT
expect_code 0 bash "$scratch/dracut"
expect_said "instmods hadump"
expect_said "inst_hook pre-udev"
expect_said "inst_hook pre-pivot"

begin "and says to whoever loads the module there that it can save"
rm "$scratch/bin/modprobe"
expect_code 0 modprobe -C "$scratch/dracut-initramfs/etc/modprobe.d" -c
expect_said "options hadump can_rescue=1"

begin "the unit comes after every file system that the target can be on, and needs none of its own choice"
grep -qE '^After=.*\blocal-fs.target remote-fs.target\b' "$boot/systemd/hadump-save.service" ||
	fail "not after remote-fs.target"
! grep -q '^RequiresMountsFor=' "$boot/systemd/hadump-save.service" || fail "names a target itself"

begin "systemd takes the units"
command -v systemd-analyze >/dev/null || fail "systemd-analyze is not installed"
for unit in hadump-save.service hadump-boot-memory.service hadump-window.service hadump-memory.service hadump-memory-wait.service \
	hadump-memory.target; do
	sed "s|^Exec\([A-Za-z]*\)=.*|Exec\1=/bin/true|;/^Documentation/d" "$boot/systemd/$unit" >"$scratch/$unit"
done
expect_code 0 systemd-analyze verify "$scratch"/hadump-*.service "$scratch/hadump-memory.target"
[ ! -s "$scratch/output" ] || fail "systemd complains"

begin "a child that is killed for want of memory ends nothing else, and a window's share of threads is no limit"
for unit in hadump-save hadump-memory hadump-memory-wait; do
	grep -qx 'OOMPolicy=continue' "$boot/systemd/$unit.service" || fail "$unit stops"
done
grep -qx 'TasksMax=infinity' "$boot/systemd/hadump-save.service" || fail "the usual limit"

begin "settings are kept away before systemd-sysctl, and no boot waits for the memory"
grep -qx 'Before=systemd-sysctl.service' "$boot/systemd/hadump-window.service" || fail "not before systemd-sysctl"
for unit in hadump-memory hadump-boot-memory; do
	grep -qx 'Type=exec' "$boot/systemd/$unit.service" || fail "what multi-user.target wants waits"
done
! grep -q '^WantedBy=' "$boot/systemd/hadump-memory-wait.service" "$boot/systemd/hadump-memory.target" ||
	fail "a boot waits"

begin "kdump's services do not start in hadump's boot, whatever else is loaded or over, and do in all others"
for unit in kdump-tools kdump-tools-dump kdump; do
	mkdir -p "$scratch/units/$unit.service.d"
	printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >"$scratch/units/$unit.service"
	cp "$boot/systemd/kdump-hadump.conf" "$scratch/units/$unit.service.d/hadump.conf"
done
expect_code 0 env SYSTEMD_UNIT_PATH="$scratch/units:" systemd-analyze verify "$scratch"/units/kdump*.service
[ ! -s "$scratch/output" ] || fail "systemd complains"
# The lines that systemd asks, with any command line.
grep '^Condition' "$boot/systemd/kdump-hadump.conf" >"$scratch/conditions"
starts() {
	(
		export SYSTEMD_PROC_CMDLINE="$1"
		tr '\n' '\0' <"$scratch/conditions" | xargs -0 systemd-analyze condition >"$scratch/output" 2>&1
	)
}
starts "root=/dev/xvda ro crashkernel=256M" || fail "not in an ordinary boot"
! starts "root=/dev/xvda ro elfcorehdr=0x8000000 hadump.node=0x8001000" || fail "in hadump's boot"
starts "root=/dev/xvda reset_devices nr_cpus=1 elfcorehdr=0x1000000" || fail "not in a crash kernel's boot"
starts "root=/dev/xvda hadump.node=0x8001000 reset_devices nr_cpus=1 elfcorehdr=0x1000000" ||
	fail "not in that of a crash kernel loaded in hadump's boot"

begin "the service is confined"
systemd-analyze security --offline=yes --threshold=25 --no-pager "$boot/systemd/hadump-save.service" \
	>"$scratch/output" || fail "more exposed than 2.5: $(tail -n 1 "$scratch/output")"

begin "every key of the example configuration is known"
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_RELEASE_REGION="$scratch/bin/release-region"
stub release-region 'exit 0'
: >"$scratch/kernel/release_region"
sed "s|^TARGET=.*|TARGET=$scratch/crash|" "$boot/release-region.conf" >"$scratch/conf"
HADUMP_CONF="$scratch/conf" expect_code 0 "$boot/hadump-save"
[ ! -s "$scratch/output" ] || fail "complains about its own example"

echo "all passed"
