#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest/boot/hadump-save: what it calls for which configuration, and what it does when things fail.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

saver=$here/../../guest/boot/hadump-save
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_CONF="$scratch/conf"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region"
export HADUMP_MACHINE_ID="$scratch/machine-id" HADUMP_STATE_DIR="$scratch/state"
echo 00112233445566778899aabbccddeeff >"$HADUMP_MACHINE_ID"

conf() {
	printf '%s\n' "TARGET=$scratch/crash" "$@" >"$HADUMP_CONF"
}

old_dump() {
	mkdir -p "$scratch/crash/$1"
	: >"$scratch/crash/$1/vmcore"
	: >"$scratch/crash/$1/dmesg.txt"
	printf 'hadump %s\n' "$(cat "$HADUMP_MACHINE_ID")" | sha256sum | cut -c -64 >"$scratch/crash/$1/.hadump-machine"
}

begin "does nothing without a dump"
stub release-region 'exit 0'
conf
expect_code 0 "$saver"
expect_not_called release-region

: >"$scratch/kernel/release_region"

begin "saves as configured"
conf '# a comment' '' FORMAT=elf COMPRESS=none DUMP_LEVEL=1,31 PORTION=64M
expect_code 0 "$saver"
expect_called "release-region save --to $scratch/crash/ --format elf --compress none --dump-level 1,31 --portion 64M --progress plain"

begin "does not run what the configuration says"
conf "COMPRESS=\$(touch $scratch/ran)" 'NONSENSE=1'
expect_code 0 "$saver"
expect_said "unknown key 'NONSENSE'"
[ ! -e "$scratch/ran" ] || fail "ran a command from the configuration"

begin "passes the exit code on and keeps the memory"
stub_save 'exit 4'
conf
: >"$scratch/kernel/hadump/release_mem"
expect_code 4 "$saver"
expect_said "What to do next"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"

begin "throws an unsaved dump away only when told so"
conf FAILURE_ACTION=release
expect_code 4 "$saver"
grep -q 1 "$scratch/kernel/hadump/release_mem" || fail "did not release"

begin "never releases for a fault of the settings, the installation or the saver"
for code in 2 8 126 127 134 137; do
	stub release-region "exit $code"
	: >"$scratch/kernel/hadump/release_mem"
	expect_code "$code" "$saver"
	expect_said "What to do next"
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
done

begin "nor because of a target that is refused, or cannot be looked at"
for code in 1 2; do
	stub release-region "exit $code"
	expect_code 2 "$saver"
	expect_not_called --progress
	expect_said "What to do next"
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
done

begin "saves with the defaults when release-region refuses the settings"
stub release-region 'case "$*" in *--compress*) exit 2 ;; esac'
expect_code 0 "$saver"
expect_said "saving with the defaults"
expect_called "release-region save --to $scratch/crash/ --dump-level 1 --progress plain"

begin "saves with kdump what the format cannot have"
conf FORMAT=elf COMPRESS=none FAILURE_ACTION=release
stub release-region 'case "$*" in *--check*) exit 0 ;; *"--format elf"*) exit 11 ;; esac'
: >"$scratch/kernel/hadump/release_mem"
expect_code 0 "$saver"
expect_said "cannot have this memory: saving with kdump"
expect_called "--format kdump --compress lzo"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
stub release-region 'case "$*" in *--check*) exit 0 ;; esac; exit 11'
expect_code 11 "$saver"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"

begin "never releases after being stopped"
stub_save 'exit 6'
: >"$scratch/kernel/hadump/release_mem"
expect_code 6 "$saver"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"

begin "does not begin without room"
stub release-region 'exit 0'
stub df 'echo Filesystem; echo "/dev/x 100 90 1024 90% /"'
conf MIN_FREE_MB=2
PATH="$scratch/bin:$PATH" expect_code 4 "$saver"
expect_not_called --progress
expect_said "less than 2 MiB free"

begin "goes on with a save that was begun, with or without room"
dump_id=0123456789abcdef0123456789abcdef
echo "$dump_id" >"$scratch/kernel/hadump/dump_id"
mkdir "$scratch/crash/guest-20250101T000000"
journal=$scratch/crash/guest-20250101T000000/.vmcore.hadump-journal
printf '%s\n' "hadump-journal 1" "dump $dump_id" published >"$journal"
PATH="$scratch/bin:$PATH" expect_code 0 "$saver"
expect_called "release-region save"

begin "but not with another dump's"
printf '%s\n' "hadump-journal 1" "dump 00$dump_id" >"$journal"
PATH="$scratch/bin:$PATH" expect_code 4 "$saver"
expect_not_called --progress
rm -r "$scratch/bin/df" "$scratch/crash/guest-20250101T000000"

begin "waits until the target's file system is mounted"
export HADUMP_FSTAB="$scratch/fstab" HADUMP_MOUNTS="$scratch/mounts" HADUMP_MOUNT_SECONDS=2
cat >"$HADUMP_FSTAB" <<-FSTAB
	# UUID=1 $scratch/crash ext4 defaults 0 2
	/dev/vda1 / ext4 defaults 0 1
	/dev/vda2 none swap sw 0 0
	UUID=2 $scratch/cra ext4 defaults 0 2
	UUID=3	$scratch/a\\040disk/	ext4	nofail	0	2
FSTAB
echo "/dev/vda1 / ext4 rw 0 0" >"$HADUMP_MOUNTS"
stub sleep "printf '%s\\n' '/dev/vdb $scratch/a\\040disk ext4 rw 0 0' >>'$HADUMP_MOUNTS'"
conf
PATH="$scratch/bin:$PATH" expect_code 0 "$saver"
expect_not_called "sleep"
printf '%s\n' "TARGET=$scratch/a disk/crash" >"$HADUMP_CONF"
PATH="$scratch/bin:$PATH" expect_code 0 "$saver"
expect_said "waiting for $scratch/a disk"
expect_called "release-region save --to $scratch/a disk/crash/"

begin "and fills no other file system instead"
rmdir "$scratch/a disk/crash"
ln -s "$scratch/a disk/crash" "$scratch/link"
stub sleep 'exit 0'
for target in "$scratch/a disk" "$scratch/a disk/crash" "$scratch/link"; do
	: >"$scratch/calls"
	echo "/dev/vda1 / ext4 rw 0 0" >"$HADUMP_MOUNTS"
	printf '%s\n' "TARGET=$target" >"$HADUMP_CONF"
	PATH="$scratch/bin:$PATH" expect_code 1 "$saver"
	expect_not_called --progress
	expect_said "nothing is mounted on $scratch/a disk"
	expect_said "What to do next"
	[ ! -e "$scratch/a disk/crash" ] || fail "made the target in another file system"
done
unset HADUMP_FSTAB HADUMP_MOUNTS HADUMP_MOUNT_SECONDS
conf

begin "releases nothing when the target cannot be made"
: >"$scratch/file"
ln -s nowhere "$scratch/dangling"
: >"$scratch/kernel/hadump/release_mem"
for target in file file/crash dangling dangling/crash; do
	printf '%s\n' "TARGET=$scratch/$target" FAILURE_ACTION=release >"$HADUMP_CONF"
	expect_code 2 "$saver"
	expect_not_called --progress
	expect_said "cannot create $scratch/$target"
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
done

begin "saves all the same when a number of the configuration is none"
conf MIN_FREE_MB=64M KEEP_OLD=all
expect_code 0 "$saver"
expect_said "MIN_FREE_MB=64M: not a number from 0 to 999999999; using 64"
expect_said "KEEP_OLD=all: not a number from 0 to 999999999; using 0"
expect_called "release-region save"

begin "keeps everything when the earlier save is not found"
stub_save 'exit 8'
conf FAILURE_ACTION=release
expect_code 8 "$saver"
expect_said "What to do next"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
stub release-region 'exit 0'

begin "leaves a dump to whoever is saving it already"
stub_save 'exit 9'
stub hook 'exit 0'
conf FAILURE_ACTION=release "POST_HOOK=$scratch/bin/hook"
: >"$scratch/calls"
expect_code 9 "$saver"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released what somebody else is saving"
expect_not_called hook
! grep -q "What to do next" "$scratch/output" || fail "talks of a failure"
stub release-region 'exit 0'

begin "deletes the oldest complete dumps after the new one is complete, and only this host's"
stub uname 'echo guest'
export PATH="$scratch/bin:$PATH"
outside=$scratch/outside
new=$scratch/crash/guest-20250101T000000 # By a host's clock that is wrong.
stub_save "mkdir -p '$new'; : >'$new/vmcore'; echo '$new/vmcore' >&3; exit \$(cat '$scratch/code')"
reset_dumps() {
	rm -rf "$scratch/crash" "$outside"
	for name in guest-20250201T000000 guest-20250301T000000 guest-20250401T000000 \
		web-20240101T000000 guest-1-20240101T000000 guest-20240101T0000001 guest-2024-T1 \
		guest-20240101T000000 guest-20240102T000000 guest-20240103T000000 guest-20240104T000000 \
		guest-20240106T000000 guest-20240107T000000; do
		old_dump "$name"
	done
	# Another machine of this name, and one of before that was noted.
	echo 9999 >"$scratch/crash/guest-20240106T000000/.hadump-machine"
	rm "$scratch/crash/guest-20240107T000000/.hadump-machine"
	: >"$scratch/crash/guest-20240101T000000/.vmcore.hadump-journal"
	: >"$scratch/crash/guest-20240102T000000/.vmcore.hadump-journal.1"
	: >"$scratch/crash/guest-20240103T000000/vmcore-incomplete"
	mkdir "$outside" "$scratch/crash/other"
	: >"$outside/vmcore"
	: >"$outside/dmesg.txt"
	ln -s "$outside" "$scratch/crash/guest-20240105T000000"
	rm "$scratch/crash/guest-20240104T000000/vmcore"
	ln -s "$outside/vmcore" "$scratch/crash/guest-20240104T000000/vmcore"
	# By time of modification the newest.
	touch -d 2030-01-01 "$scratch/crash/web-20240101T000000" "$scratch/crash/guest-20250201T000000"
	find "$scratch/crash" "$outside" | sort >"$scratch/before"
}
# expect_gone NAME…: these are deleted, and nothing else.
expect_gone() {
	find "$scratch/crash" "$outside" | grep -vxF -e "$new" -e "$new/vmcore" | sort >"$scratch/after"
	for name in "$@"; do
		printf '%s\n' "$scratch/crash/$name" "$scratch/crash/$name/dmesg.txt" "$scratch/crash/$name/vmcore" \
			"$scratch/crash/$name/.hadump-machine"
	done | sort >"$scratch/gone"
	comm -23 "$scratch/before" "$scratch/after" | cmp -s - "$scratch/gone" ||
		fail "deleted: $(comm -23 "$scratch/before" "$scratch/after" | xargs)"
}
reset_dumps
conf KEEP_OLD=2
echo 0 >"$scratch/code"
expect_code 0 "$saver"
expect_gone guest-20250201T000000 guest-20250301T000000
[ -e "$new/vmcore" ] || fail "deleted the new one"
grep -qxE '[0-9a-f]{64}' "$new/.hadump-machine" || fail "did not note whose it is"

begin "deletes nothing unless the new dump is complete"
for code in 1 3 5 6 7 8; do
	echo "$code" >"$scratch/code"
	reset_dumps
	expect_code "$code" "$saver"
	expect_gone
	# Another saver may end what was cut short, and that knows no machine.
	case "$code" in [567]) [ -e "$new/.hadump-machine" ] || fail "did not note whose it is after $code" ;; esac
done

begin "deletes also those whose saver was killed after the last of their memory was given back"
echo 0 >"$scratch/code"
waiting=0123456789abcdef0123456789abcdef
echo "$waiting" >"$scratch/kernel/hadump/dump_id"
reset_dumps
journal_of() { echo "$scratch/crash/guest-2025$1T000000/.vmcore.hadump-journal"; }
printf '%s\n' "hadump-journal 1" "dump 11$waiting" published >"$(journal_of 0201)"
printf '%s\n' "hadump-journal 1" "dump $waiting" published >"$(journal_of 0301)"
printf '%s\n' "hadump-journal 1" "dump 11$waiting" "final published" >"$(journal_of 0401)"
printf '%s\n' "dump 11$waiting" published >"$scratch/crash/guest-20240103T000000/vmcore-incomplete"
find "$scratch/crash" "$outside" | sort >"$scratch/before"
conf KEEP_OLD=1
expect_code 0 "$saver"
[ ! -e "$(journal_of 0201)" ] || fail "kept the journal of a dump that is over"
sed -i "\\|$(journal_of 0201)|d" "$scratch/before"
expect_gone guest-20250201T000000
rm "$scratch/kernel/hadump/dump_id"

begin "makes room by deleting old dumps, but not the newest"
stub df "echo Filesystem; n=\$(ls -d '$scratch'/crash/guest-2025* | wc -l); echo \"/dev/x 100 90 \$((4096 - n * 1024)) 90% /\""
echo 0 >"$scratch/code"
conf KEEP_OLD=3 MIN_FREE_MB=2
reset_dumps
expect_code 0 "$saver"
expect_gone guest-20250201T000000
conf KEEP_OLD=1 MIN_FREE_MB=4
reset_dumps
expect_code 4 "$saver"
expect_gone guest-20250201T000000 guest-20250301T000000
expect_said "less than 4 MiB free"
rm "$scratch/bin/df"

begin "continues on a full target when an old dump can go"
stub_save "[ ! -e '$scratch/crash/guest-20250301T000000' ] || exit 4; echo '$new/vmcore' >&3"
conf KEEP_OLD=1
reset_dumps
expect_code 0 "$saver"
expect_gone guest-20250201T000000 guest-20250301T000000 guest-20250401T000000
conf KEEP_OLD=3
reset_dumps
expect_code 4 "$saver"
expect_gone guest-20250201T000000

begin "also those that were saved under another name"
stub_save "mkdir -p '$new'; : >'$new/vmcore'; echo '$new/vmcore' >&3"
conf KEEP_OLD=3
reset_dumps
old_dump guest-20230101T000000.x9Yz01
old_dump guest-20230101T000000.x9Yz012
find "$scratch/crash" "$outside" | sort >"$scratch/before"
expect_code 0 "$saver"
expect_gone guest-20230101T000000.x9Yz01 guest-20250201T000000

begin "makes an id for a machine that has none"
conf KEEP_OLD=1
for text in '' uninitialized; do
	echo "$text" >"$HADUMP_MACHINE_ID"
	rm -rf "$HADUMP_STATE_DIR"
	reset_dumps
	rm "$HADUMP_MACHINE_ID"
	expect_code 0 "$saver"
	expect_gone
	grep -qxE '[0-9a-f]{32}' "$HADUMP_STATE_DIR/machine-id" || fail "no id"
	grep -qxE '[0-9a-f]{64}' "$new/.hadump-machine" || fail "did not note whose it is"
done
mv "$HADUMP_STATE_DIR/machine-id" "$HADUMP_MACHINE_ID"

begin "tells the hook this dump's directory"
stub_save "echo '$new/vmcore' >&3"
stub hook 'exit 1'
conf "POST_HOOK=$scratch/bin/hook"
reset_dumps
expect_code 0 "$saver"
grep -qx "hook 0 $new" "$scratch/calls" || fail "another directory"
expect_said "hook failed"
stub_save 'exit 1'
expect_code 1 "$saver"
grep -qx "hook 1 " "$scratch/calls" || fail "a directory although none was begun"

echo "all passed"
