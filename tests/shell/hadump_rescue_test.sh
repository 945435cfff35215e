#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The rescue boot: what the initramfs' scripts start, and what guest/boot/hadump-rescue does before and after it
# saves.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
boot=$here/../../guest/boot
PATH="$scratch/bin:$PATH"
rescue=$boot/hadump-rescue
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_PROC_DIR="$scratch/proc" HADUMP_RUN_DIR="$scratch/run"
export HADUMP_CONF="$scratch/conf" HADUMP_FSTAB="$scratch/fstab" HADUMP_MOUNTS="$scratch/mounts"
export HADUMP_KMSG="$scratch/kmsg" HADUMP_AUTO_ONLINE="$scratch/online" HADUMP_UNIT_DIRS="$scratch/units /nowhere"
export HADUMP_SAVER="$scratch/bin/saver" HADUMP_ETC="$scratch/etc"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region"
mkdir -p "$scratch/proc/sys/kernel" "$scratch/units" "$scratch/etc" "$scratch/mnt"
said=$scratch/run/hadump/rescue
stub release-region 'exit 0'
stub mount "echo \"x \$1 ext4 rw 0 0\" >>$scratch/mounts"
stub fsck 'exit 0'
stub df "printf 'x\nx 9 9 9000000 9 %s\n' \"\$(cat $scratch/on)\""
stub uname 'echo "(none)"'
echo /mnt >"$scratch/on"

# dump [CODE]: one waits. The saver notes what it finds, and saves it unless CODE says otherwise.
dump() {
	: >"$scratch/kernel/release_region"
	: >"$scratch/kmsg"
	: >"$scratch/fstab"
	: >"$scratch/mounts"
	echo offline >"$scratch/online"
	stub saver "echo \"environment \$HADUMP_RESCUE \$HADUMP_MOUNT_SECONDS\" >&2
echo 'saving  10% of 1 GiB, 1 MiB written' >&2
cp $scratch/online $scratch/online-then
echo saver >>$scratch/calls
[ ${1:-0} != 0 ] || rm $scratch/kernel/release_region
exit ${1:-0}"
}
conf() {
	printf '%s\n' "TARGET=$scratch/mnt/crash" "$@" >"$HADUMP_CONF"
}

begin "does nothing without a dump"
conf
expect_code 0 "$rescue"
[ ! -s "$scratch/calls" ] || fail "did something"

begin "saves, tells the console and the kernel's log, and leaves nothing behind"
dump
echo web7 >"$scratch/etc/hostname"
expect_code 0 "$rescue"
expect_said "environment 1 0"
expect_said "saving  10% of 1 GiB"
expect_said "the dump is saved; the system starts with all memory"
grep -q "<4>hadump-rescue: the dump is saved" "$scratch/kmsg" || fail "the log does not say so"
! grep -q "10%" "$scratch/kmsg" || fail "progress fills the log"
[ ! -e "$said" ] || fail "status would show it"
[ "$(cat "$scratch/proc/sys/kernel/hostname")" = web7 ] || fail "the dump would have no name"
[ "$(cat "$scratch/online-then") $(cat "$scratch/online")" = "online offline" ] || fail "auto_online_blocks"

begin "what fails is no end, and is said"
dump 4
expect_code 1 "$rescue"
expect_said "hadump-save ends with status 4"
expect_said "not saved; the system starts with its memory held"
grep -q "ends with status 4" "$said" || fail "status would not show it"
[ "$(cat "$scratch/online")" = offline ] || fail "auto_online_blocks"

begin "checks and mounts what fstab has on the path, from the top"
dump
cat >"$scratch/fstab" <<-FSTAB
	LABEL=b $scratch/mnt/crash xfs defaults 0 0
	# LABEL=c $scratch/mnt/crash/x ext4 defaults 0 2
	LABEL=a $scratch/mnt ext4 defaults 0 2
	LABEL=d /elsewhere ext4 defaults 0 2
FSTAB
stub fsck 'cat'
expect_code 0 "$rescue"
printf '%s\n' "fsck -a -T $scratch/mnt" "mount $scratch/mnt" "mount $scratch/mnt/crash" >"$scratch/expected"
grep -E '^(fsck|mount)' "$scratch/calls" >"$scratch/found"
diff -u "$scratch/expected" "$scratch/found" >&2 || fail "other mounts"

begin "whatever its name is"
dump
mkdir -p "$scratch/mnt/a dump"
printf 'LABEL=e %s\\040dump ext4 defaults 0 0\n' "$scratch/mnt/a" >"$scratch/fstab"
printf 'TARGET="%s"\n' "$scratch/mnt/a dump/crash" >"$HADUMP_CONF"
expect_code 0 "$rescue"
expect_called "mount $scratch/mnt/a dump"
conf

begin "and saves nowhere else when that fails"
not_saved() {
	expect_code 1 "$rescue"
	expect_said "$1"
	expect_not_called saver
	grep -qF "$1" "$said" || fail "status would not show it"
	expect_said "not saved; the system starts"
}
dump
echo "LABEL=a $scratch/mnt ext4 defaults 0 2" >"$scratch/fstab"
stub fsck 'exit 4'
not_saved "fsck ends with status 4"
expect_not_called "mount "
stub fsck 'exit 1'
stub mount 'exit 32'
not_saved "cannot mount $scratch/mnt"
stub mount 'exit 0'
for entry in "host:/x $scratch/mnt nfs4 defaults 0 0" "LABEL=x $scratch/mnt ext4 noatime,_netdev 0 0"; do
	echo "$entry" >"$scratch/fstab"
	begin "not over a network: $entry"
	not_saved "there is no network yet"
done

begin "nor below what a unit will mount"
: >"$scratch/fstab"
printf '[Mount]\nWhat=x\nWhere=%s/\n' "$scratch/mnt" >"$scratch/units/mnt.mount"
not_saved "only a systemd unit mounts $scratch/mnt"
dump
echo "x $scratch/mnt ext4 rw 0 0" >"$scratch/mounts"
expect_code 0 "$rescue"
rm "$scratch/units/mnt.mount"

begin "makes / writable as long as it takes"
dump
echo "x / ext4 ro,relatime 0 0" >"$scratch/mounts"
echo / >"$scratch/on"
expect_code 0 "$rescue"
expect_called "mount -o remount,rw /"
[ "$(tail -n 1 "$scratch/calls")" = "mount -o remount,ro /" ] || fail "it stays so"

begin "but not where it is to be read-only, nor twice"
dump
echo "x / ext4 ro,relatime 0 0" >"$scratch/mounts"
echo "LABEL=r / ext4 errors=remount-ro,ro 0 1" >"$scratch/fstab"
not_saved "/ is to be read-only"
dump
echo "x / ext4 rw,relatime 0 0" >"$scratch/mounts"
expect_code 0 "$rescue"
expect_not_called remount

begin "hadump-save then gives nothing away, and leaves what failed to its service"
unset HADUMP_SAVER
dump
stub_save 'exit 4'
: >"$scratch/kernel/hadump/release_mem"
printf '#!/bin/sh\ntouch %s/hooked\n' "$scratch" >"$scratch/bin/hook"
chmod 755 "$scratch/bin/hook"
conf FAILURE_ACTION=release "POST_HOOK=$scratch/bin/hook" MIN_FREE_MB=0
mkdir -p "$scratch/mnt/crash"
echo /mnt >"$scratch/on"
export HADUMP_RESCUE=1 HADUMP_CONSOLE="$scratch/console"
expect_code 4 "$boot/hadump-save"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
[ ! -e "$scratch/hooked" ] || fail "the hook ran"
stub_save 'exit 0'
expect_code 0 "$boot/hadump-save"
[ -e "$scratch/hooked" ] || fail "the hook did not run"
unset HADUMP_RESCUE

# The initramfs' side, in a root file system of its own.
export rootmnt="$scratch/root" NEWROOT="$scratch/root"
mkdir -p "$rootmnt/usr/lib/hadump"
cp "$rescue" "$rootmnt/usr/lib/hadump/"
stub chroot 'exit 1'
stub umount 'exit 1'
stub mount 'exit 1'
for script in "$boot/initramfs-tools/scripts/init-bottom/hadump" "$boot/dracut/90hadump/hadump-rescue.sh"; do
	begin "${script##*/boot/} asks the root file system's programs when it is told to, and survives them"
	dump
	echo "root=/dev/xvda hadump.node=0x1 hadump.rescue=1" >"$scratch/proc/cmdline"
	expect_code 0 "$script"
	expect_called "chroot $rootmnt /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/unshare -m /usr/lib/hadump/hadump-rescue"
	for dir in dev proc run sys; do
		expect_called "mount -o bind /$dir $rootmnt/$dir"
		expect_called "umount $rootmnt/$dir"
	done
	for words in "hadump.rescue=0" "hadump.rescue" "xhadump.rescue=1" "hadump.rescue=10"; do
		begin "${script##*/boot/} is not told to by $words"
		echo "root=/dev/xvda $words" >"$scratch/proc/cmdline"
		expect_code 0 "$script"
		expect_not_called chroot
	done
	begin "${script##*/boot/} needs a dump, and the programs"
	echo "hadump.rescue=1" >"$scratch/proc/cmdline"
	mv "$rootmnt/usr" "$rootmnt/elsewhere"
	expect_code 0 "$script"
	expect_not_called chroot
	grep -q "no rescue boot" "$scratch/kmsg" || fail "does not say why"
	mv "$rootmnt/elsewhere" "$rootmnt/usr"
	rm "$scratch/kernel/release_region"
	expect_code 0 "$script"
	expect_not_called chroot
done
expect_code 0 "$boot/initramfs-tools/scripts/init-bottom/hadump" prereqs

echo "all passed"
