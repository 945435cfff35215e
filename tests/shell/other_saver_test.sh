#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SAVER=: other programs that save for hadump-save, and what kdump-config's word is worth.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

boot=$here/../../guest/boot
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_CONF="$scratch/conf" HADUMP_ETC="$scratch/etc"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region" HADUMP_KDUMP_CONFIG="$scratch/bin/kdump-config"
export PATH="$scratch/bin:$PATH"
mkdir -p "$scratch/etc/default" "$scratch/dumps"
: >"$scratch/kernel/release_region"
: >"$scratch/kernel/hadump/release_mem"
defaults=$scratch/etc/default/kdump-tools
stub release-region 'exit 0'
stub makedumpfile 'exit 0'
stub saver 'exit 0'

conf() {
	printf '%s\n' "TARGET=$scratch/crash" "$@" >"$HADUMP_CONF"
}
# expect_call LINE: that, and no other save.
expect_call() {
	grep -qxF -- "release-region $1" "$scratch/calls" || fail "was not called: release-region $1"
	[ "$(grep '^release-region save' "$scratch/calls" | grep -cv -- ' --check ')" = 1 ] || fail "several saves"
}
save() {
	: >"$scratch/calls"
	expect_code "$1" "$boot/hadump-save"
}

begin "divides a command at its blanks, and does nothing else to it"
touch "$scratch/a" "$scratch/b"
for text in "SAVER=command:$scratch/bin/saver  -d 31	* \$HOME \`x\` {}" \
	"SAVER=\"command:$scratch/bin/saver -d 31 * \$HOME \`x\` {}\"  # as in kdump.conf"; do
	conf "$text"
	(cd "$scratch" && save 0)
	expect_call "save-with -- $scratch/bin/saver -d 31 * \$HOME \`x\` {}"
	expect_code 0 "$boot/hadump-save" --check
	expect_called "save-with --check -- $scratch/bin/saver -d 31"
done

begin "saves by itself when the saver cannot be used, and says so"
for saver in saver command:saver command: "command:$scratch/none" "command:$scratch/a x" "'command:$scratch/bin/saver"; do
	conf "SAVER=$saver"
	expect_code 2 "$boot/hadump-save" --check
	expect_said "; using hadump"
	save 0
	expect_called "release-region save --to $scratch/crash/"
done
chmod 757 "$scratch/bin/saver"
conf "SAVER=command:$scratch/bin/saver"
expect_code 2 "$boot/hadump-save" --check
expect_said "others can change it"
chmod 755 "$scratch/bin/saver"

begin "a failure is one, with FAILURE_ACTION; wrong settings and a killed saver never release"
conf "SAVER=command:$scratch/bin/saver" FAILURE_ACTION=release
stub release-region "case \$1 in save-with) exit \$(cat '$scratch/code') ;; esac"
for code in 2 3 6 7 8 9; do
	echo "$code" >"$scratch/code"
	save "$code"
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released after $code"
done
echo 1 >"$scratch/code"
save 1
[ -s "$scratch/kernel/hadump/release_mem" ] || fail "did not release"
: >"$scratch/kernel/hadump/release_mem"
conf "SAVER=command:$scratch/bin/saver"
save 1
expect_said "is of no use to it"
[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released"
stub release-region 'exit 0'

begin "kdump-tools: its directory is what must last, where it is this system's"
printf 'USE_KDUMP=1\nKDUMP_COREDIR="%s"\n' "$scratch/dumps" >"$defaults"
stub kdump-config 'exit 0'
conf SAVER=kdump-tools
save 0
expect_call "save-with --into $scratch/dumps -- $(readlink -f "$boot")/kdump-savecore"
expect_code 0 "$boot/hadump-save" --check
expect_called "save-with --check --into $scratch/dumps -- "
for line in 'SSH="root@backup"' 'NFS=backup:/x' 'FTP=backup'; do
	printf 'KDUMP_COREDIR="%s"\n%s\n' "$scratch/dumps" "$line" >"$defaults"
	save 0
	expect_call "save-with -- $(readlink -f "$boot")/kdump-savecore"
done

begin "waits for its file system and for room, as for ours"
printf 'KDUMP_COREDIR="%s"\n' "$scratch/dumps" >"$defaults"
printf 'LABEL=x %s ext4 defaults 0 0\n' "$scratch/dumps" >"$scratch/fstab"
HADUMP_FSTAB="$scratch/fstab" HADUMP_MOUNT_SECONDS=0 save 1
expect_not_called save-with
expect_said "nothing is mounted on $scratch/dumps"
stub df 'echo Filesystem; echo "/dev/x 100 90 1024 90% /"'
save 4
expect_not_called save-with
rm "$scratch/bin/df"

begin "is not used where it is not installed"
mv "$scratch/bin/kdump-config" "$scratch/elsewhere"
save 0
expect_said "kdump-tools or makedumpfile is not installed; using hadump"
mv "$scratch/elsewhere" "$scratch/bin/kdump-config"

savecore=$boot/kdump-savecore
begin "believes kdump-config when it has saved"
printf 'KDUMP_COREDIR=/x\n' >"$defaults"
stub kdump-config 'printf "Copying data: 1\\rCopying data: 100\\n"; echo "kdump-config: saved vmcore in /x/202501010000"'
expect_code 0 "$savecore"
expect_called "kdump-config savecore"
expect_said "saved vmcore in /x"
! grep -q "data: 1$(printf '\r')" "$scratch/output" || fail "a progress line in the log"

begin "but not its status alone, which is 0 when nothing was sent"
stub kdump-config 'echo "kdump-config: failed to save vmcore in host:/x"; exit 0'
expect_code 1 "$savecore"
expect_said "of 1 places, kdump-config has saved to 0"
stub kdump-config 'echo "kdump-config: saved vmcore in /x"; exit 1'
expect_code 1 "$savecore"

begin "nor with a makedumpfile that died in the middle of its pipe"
stub kdump-config 'false | cat && echo "kdump-config: saved vmcore in /x"'
expect_code 1 "$savecore"

begin "wants every place to have it"
stub kdump-config 'echo "kdump-config: saved vmcore via FTP in h:/x"; echo "kdump-config: saved vmcore in /x"'
for lines in 'FTP=h' 'FTP=h SSH=r@h NFS=h:/x' 'FTP= SSH=' ''; do
	printf '%s\n' "$lines" >"$defaults"
	expect_code 1 "$savecore"
done
for lines in 'FTP=h SSH=r@h' 'FTP=h NFS=h:/x'; do
	printf '%s\n' "$lines" >"$defaults"
	expect_code 0 "$savecore"
done
echo NFS=h:/x >"$defaults"
stub kdump-config 'echo "saved vmcore in /x"; echo "kdump-config: Unable to cleanly unmount the NFS file system"'
expect_code 1 "$savecore"

echo "all passed"
