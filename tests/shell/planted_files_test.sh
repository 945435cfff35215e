#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest/boot/hadump-save where others can write: nobody else makes it throw a dump away, hang, delete
# what is not a dump of ours, or run what is not ours. /var/crash has mode 3777 on some systems.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

saver=$here/../../guest/boot/hadump-save
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_CONF="$scratch/conf" HADUMP_ETC="$scratch/etc"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region" HADUMP_FSTAB=/dev/null
export HADUMP_MACHINE_ID="$scratch/machine-id" HADUMP_STATE_DIR="$scratch/state"
export PATH="$scratch/bin:$PATH"
stub uname 'echo guest'
echo 1 >"$HADUMP_MACHINE_ID"
: >"$scratch/kernel/release_region"
: >"$scratch/kernel/hadump/release_mem"
dump_id=0123456789abcdef0123456789abcdef
echo "$dump_id" >"$scratch/kernel/hadump/dump_id"
chmod 1777 "$scratch/crash"

conf() {
	printf '%s\n' "TARGET=$scratch/crash" "$@" >"$HADUMP_CONF"
}
# theirs FILE…: somebody else's, where a test can do that.
theirs() {
	[ "$(id -u)" != 0 ] || chown -h 65534:65534 "$@"
}
save() {
	: >"$scratch/calls"
	expect_code "$1" timeout 20 "$saver"
}
expect_kept() {
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released an unsaved dump"
}
# As the real one where the dump's name is taken; elsewhere it saves.
taken="case \" \$* \" in
*' --to $scratch/crash/ '*) exit 2 ;;
*' --to $scratch/crash/guest-'*/vmcore' '*) echo \"\$3\" >&3; : >\"\$3\"; exit \$(cat '$scratch/code') ;;
esac
exit 1"

begin "takes another name when something has the dump's, and saves as configured"
echo 0 >"$scratch/code"
stub_save "$taken"
conf FAILURE_ACTION=release DUMP_LEVEL=31 KEEP_OLD=1
save 0
expect_called "--format kdump --compress lzo --dump-level 31 --portion 256M --progress plain"
expect_said "saving to $scratch/crash/guest-"
find "$scratch/crash" -mindepth 1 -maxdepth 1 -type d -perm 700 | grep -qE '/guest-[0-9]{8}T[0-9]{6}\.[A-Za-z0-9]{6}$' ||
	fail "no directory of a name that nobody can know"
cat "$scratch/crash"/guest-*/.hadump-machine | grep -qxE '[0-9a-f]{64}' || fail "did not note whose it is"
expect_kept
rm -r "$scratch/crash"/guest-*

begin "goes on where it has begun, under that name, without another"
stub_save "$taken"
place=$scratch/crash/guest-20250101T000000.aB3dE6
mkdir -m 700 "$place" "$scratch/crash/guest-20250102T000000.aB3dE6"
echo "dump $dump_id" >"$place/.vmcore.hadump-journal"
save 0
expect_called "save --to $place/vmcore --format kdump"
[ "$(grep -c -- --progress "$scratch/calls")" = 1 ] || fail "several attempts"
rm -r "$scratch/crash"/guest-*

begin "releases nothing when that is refused as well, and leaves nothing behind"
stub_save 'exit 2'
save 2
expect_said "What to do next"
expect_kept
[ -z "$(ls "$scratch/crash")" ] || fail "left something"

begin "nor when no other name can be made"
stub mktemp 'exit 1'
save 2
expect_kept
rm "$scratch/bin/mktemp"

begin "reads no journal that others can have made, and does not wait for one"
stub_save 'exit 0'
stub df 'echo Filesystem; echo "/dev/x 100 90 1024 90% /"'
conf MIN_FREE_MB=2
mkdir "$scratch/crash/fifo" "$scratch/crash/link" "$scratch/crash/open" "$scratch/elsewhere"
mkfifo "$scratch/crash/fifo/.vmcore.hadump-journal"
echo "dump $dump_id" >"$scratch/elsewhere/.vmcore.hadump-journal"
ln -s "$scratch/elsewhere/.vmcore.hadump-journal" "$scratch/crash/link/.vmcore.hadump-journal"
ln -s "$scratch/elsewhere" "$scratch/crash/directory"
cp "$scratch/elsewhere/.vmcore.hadump-journal" "$scratch/crash/open"
chmod 777 "$scratch/crash/open"
save 4
expect_not_called --progress
expect_said "less than 2 MiB free"
if [ "$(id -u)" = 0 ]; then
	mkdir "$scratch/crash/forged"
	cp "$scratch/elsewhere/.vmcore.hadump-journal" "$scratch/crash/forged"
	truncate -s 1T "$scratch/crash/open/.vmcore.hadump-journal"
	theirs "$scratch/crash/forged" "$scratch/crash/open" "$scratch/crash/fifo"
	save 4
	expect_not_called --progress
fi
rm -r "$scratch/bin/df" "$scratch/crash" "$scratch/elsewhere"
mkdir -m 1777 "$scratch/crash"

begin "makes and deletes nothing before the target is accepted"
mkdir -p "$scratch/precious/guest-20240101T000000" "$scratch/precious/guest-20240102T000000"
for dump in "$scratch/precious"/guest-*; do
	: >"$dump/vmcore"
	printf 'hadump 1\n' | sha256sum | cut -c -64 >"$dump/.hadump-machine"
done
mkdir -m 777 "$scratch/open"
ln -s "$scratch/precious" "$scratch/open/crash"
stub release-region "case \" \$* \" in *' --check --to $scratch/open/'*) exit 2 ;; esac"
stub df 'echo Filesystem; echo "/dev/x 100 90 1024 90% /"'
for target in crash crash/new; do
	printf '%s\n' "TARGET=$scratch/open/$target" KEEP_OLD=1 MIN_FREE_MB=999999 FAILURE_ACTION=release >"$HADUMP_CONF"
	save 2
	expect_not_called --progress
	expect_kept
	[ "$(find "$scratch/precious" -name vmcore | wc -l)" = 2 ] || fail "deleted through a link"
	[ ! -e "$scratch/precious/new" ] || fail "made a directory through a link"
done
rm -r "$scratch/bin/df" "$scratch/open" "$scratch/precious"

begin "makes a target only where nobody can have put a link meanwhile"
mkdir -m 777 "$scratch/open"
stub_save 'exit 0'
printf '%s\n' "TARGET=$scratch/open/crash" FAILURE_ACTION=release >"$HADUMP_CONF"
save 2
expect_kept
[ ! -e "$scratch/open/crash" ] || fail "made it"
chmod 1777 "$scratch/open"
save 0
[ -d "$scratch/open/crash" ] || fail "did not make it"
rm -r "$scratch/open"

begin "kdump-tools in a directory where others can write: its failure can be theirs"
mkdir -p "$scratch/etc/default" "$scratch/dumps"
printf 'KDUMP_COREDIR="%s"\n' "$scratch/dumps" >"$scratch/etc/default/kdump-tools"
stub makedumpfile 'exit 0'
stub kdump-config 'exit 0'
export HADUMP_KDUMP_CONFIG="$scratch/bin/kdump-config"
stub release-region "case \$1 in save-with) exit 1 ;; esac"
conf SAVER=kdump-tools FAILURE_ACTION=release
save 1
[ -s "$scratch/kernel/hadump/release_mem" ] || fail "did not release"
: >"$scratch/kernel/hadump/release_mem"
chmod 1777 "$scratch/dumps"
save 1
expect_kept
expect_said "others can write to $scratch/dumps"
unset HADUMP_KDUMP_CONFIG

begin "runs no program that others can exchange: by its directory, a link, a directory above, an access list"
stub_save 'exit 0'
mkdir -p "$scratch/open/ours"
mkdir -m 755 "$scratch/safe"
printf '#!/bin/sh\ntouch %s/ran\n' "$scratch" >"$scratch/safe/program"
chmod 755 "$scratch/safe/program"
cp "$scratch/safe/program" "$scratch/open/ours/program"
ln -s "$scratch/safe/program" "$scratch/open/program"
ln -s "$scratch/safe" "$scratch/open/safe"
ln -s "$scratch/open/program" "$scratch/safe/twice"
ln -s program "$scratch/safe/link"
refused() {
	for line in "POST_HOOK=$1" "SAVER=command:$1 x"; do
		conf "$line"
		expect_code 2 "$saver" --check
		expect_said "others can change it, or the way to it"
		save 0
		[ ! -e "$scratch/ran" ] || fail "ran $1"
	done
}
chmod 777 "$scratch/open"
for program in open/program open/safe/program open/ours/program safe/twice open/../safe/program; do
	refused "$scratch/$program"
done
for program in program link ../safe/./link; do
	conf "POST_HOOK=$scratch/safe/$program"
	expect_code 0 "$saver" --check
	save 0
	rm "$scratch/ran" || fail "did not run $program"
done
if [ "$(id -u)" = 0 ]; then
	cp "$scratch/safe/program" "$scratch/safe/theirs"
	ln -s program "$scratch/safe/their-link"
	theirs "$scratch/safe/theirs" "$scratch/safe/their-link"
	refused "$scratch/safe/theirs"
	refused "$scratch/safe/their-link"
fi
# user::rwx, user:65534:rwx, group::r-x, mask::rwx, other::r-x
if python3 -c 'import os, struct, sys
list = [(1, 7, -1), (2, 7, 65534), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
os.setxattr(sys.argv[1], "system.posix_acl_access",
            struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in list))' "$scratch/safe/program" 2>/dev/null; then
	refused "$scratch/safe/program"
fi

begin "nor one that they have exchanged while the save ran"
printf '#!/bin/sh\ntouch %s/ran\n' "$scratch" >"$scratch/safe/hook"
chmod 755 "$scratch/safe/hook"
mkdir "$scratch/links"
ln -s "$scratch/safe/hook" "$scratch/links/hook"
stub_save "chmod 777 '$scratch/links'"
conf "POST_HOOK=$scratch/links/hook"
save 0
expect_said "others can change $scratch/links/hook, or the way to it: it is not run"
[ ! -e "$scratch/ran" ] || fail "ran it"

begin "what it runs can be killed for want of memory"
stub_save 'exit 0'
printf '#!/bin/sh\ncat /proc/self/oom_score_adj >%s/score\n' "$scratch" >"$scratch/safe/hook"
conf "POST_HOOK=$scratch/safe/hook"
mkdir -p "$scratch/proc/self"
export HADUMP_PROC_DIR="$scratch/proc"
for score in -900 -1; do
	echo "$score" >"$scratch/proc/self/oom_score_adj"
	save 0
	[ "$(cat "$scratch/proc/self/oom_score_adj")" = 0 ] || fail "$score stays"
done
for score in 0 300; do
	echo "$score" >"$scratch/proc/self/oom_score_adj"
	save 0
	[ "$(cat "$scratch/proc/self/oom_score_adj")" = "$score" ] || fail "$score does not stay"
done
unset HADUMP_PROC_DIR
(
	echo 300 >/proc/self/oom_score_adj
	save 0
)
[ "$(cat "$scratch/score")" = 300 ] || fail "a score of $(cat "$scratch/score")"

echo "all passed"
