#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What hadump-save makes of the configuration's file: lines that are none, files of others, hooks, other
# programs' configuration, no file; and --check. Usage: conf_file_test.sh RELEASE-REGION
set -eu
tool=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/save_conf_lib.sh
. "$here/save_conf_lib.sh"

begin "names a line that is none, and takes the rest"
conf "COMPRESS zlib" "export COMPRESS=zlib" "KEEP_OLD MIN_FREE_MB=1" "=1" "DUMP_LEVEL=31"
expect_code 2 "$saver" --check
expect_said "'COMPRESS zlib' is not KEY=VALUE"
for key in 'export COMPRESS' 'KEEP_OLD MIN_FREE_MB' ''; do
	expect_said "unknown key '$key'"
done
expect_code 0 "$saver"
expect_called "--compress lzo --dump-level 31"

begin "does not believe what others can write"
conf FAILURE_ACTION=release
for mode in 666 664; do
	chmod "$mode" "$HADUMP_CONF"
	if [ "$(id -u)" = 0 ]; then chgrp 1 "$HADUMP_CONF"; fi
	expect_code 2 "$saver" --check
	expect_said "others can change it"
	expect_code 0 "$saver"
	expect_called "save --to $scratch/default/ $defaults"
done
conf && chmod 644 "$HADUMP_CONF"
chmod 777 "$scratch"
expect_code 2 "$saver" --check
chmod 700 "$scratch"
if [ "$(id -u)" = 0 ]; then
	chown 1 "$HADUMP_CONF"
	expect_code 2 "$saver" --check
fi

begin "runs no hook that others can write"
stub hook 'exit 0'
rm "$HADUMP_CONF"
conf "POST_HOOK=$scratch/bin/hook"
expect_code 0 "$saver" --check
chmod 757 "$scratch/bin/hook"
expect_code 2 "$saver" --check
expect_code 0 "$saver"
expect_not_called "hook 0"

begin "names an init script that would save the dump as well, where no drop-in can hold it"
export HADUMP_ETC="$scratch/etc" HADUMP_RUN_DIR="$scratch/run"
rm -f "$HADUMP_CONF" && conf
mkdir -p "$scratch/etc/rc2.d" "$scratch/etc/default"
expect_code 0 "$saver" --check
ln -s ../init.d/kdump-tools "$scratch/etc/rc2.d/S01kdump-tools"
for text in 'USE_KDUMP=1' "# grep -q 'hadump\.node=' /proc/cmdline && USE_KDUMP=0"; do
	printf '%s\n' "$text" >"$scratch/etc/default/kdump-tools"
	expect_code 2 "$saver" --check
	expect_said "add to $scratch/etc/default/kdump-tools: grep -q"
	expect_code 0 "$saver"
done
echo "grep -q 'hadump\.node=' /proc/cmdline && USE_KDUMP=0" >>"$scratch/etc/default/kdump-tools"
expect_code 0 "$saver" --check
echo 'USE_KDUMP=1' >"$scratch/etc/default/kdump-tools"
mkdir -p "$scratch/run/systemd/system"
expect_code 0 "$saver" --check
rmdir "$scratch/run/systemd/system"
mv "$scratch/etc/rc2.d/S01kdump-tools" "$scratch/etc/rc2.d/K01kdump-tools"
expect_code 0 "$saver" --check
unset HADUMP_ETC HADUMP_RUN_DIR

begin "uses the defaults without a file"
rm "$HADUMP_CONF"
expect_code 0 "$saver" --check
expect_code 0 "$saver"
expect_called "save --to $scratch/default/ $defaults"
mkdir "$HADUMP_CONF"
expect_code 2 "$saver" --check
expect_code 0 "$saver"

begin "--check changes nothing, and an unknown argument is refused"
: >"$scratch/calls"
rmdir "$HADUMP_CONF"
conf KEEP_OLD=1
expect_code 0 "$saver" --check
expect_not_called "--progress"
for arguments in "--chekc" "--check x" "x"; do
	# shellcheck disable=SC2086 # Several words.
	expect_code 2 "$saver" $arguments
	expect_said "Usage: hadump-save"
done
expect_not_called "--progress"

echo "all passed"
