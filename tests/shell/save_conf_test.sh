#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What hadump-save makes of the ways in which people write its configuration, with the real
# release-region as the judge of values. Usage: save_conf_test.sh RELEASE-REGION
set -eu
umask 022
tool=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

saver=$here/../../guest/boot/hadump-save
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_CONF="$scratch/conf"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region" HADUMP_DEFAULT_TARGET="$scratch/default"
: >"$scratch/kernel/release_region"
: >"$scratch/kernel/hadump/release_mem"
mkdir "$scratch/default"
# Everything but a save itself is release-region's own. The scratch directory may be in memory.
stub_saves() {
	stub release-region "case \" \$* \" in
		*' --check --volatile-target '*) exec '$tool' \"\$@\" ;;
		*' --check '*) exec '$tool' \"\$@\" --volatile-target ;;
	esac"
}
stub_saves

conf() {
	printf '%s\n' "TARGET=$scratch/crash" "$@" >"$HADUMP_CONF"
}

defaults="--format kdump --compress lzo --dump-level 1 --portion 256M"

begin "takes what a shell or a daemon would take"
cr=$(printf '\r')
while read -r line; do
	conf "$line"
	expect_code 0 "$saver" --check
	[ ! -s "$scratch/output" ] || fail "complains of: $line"
	expect_code 0 "$saver"
	expect_called "save --to $scratch/crash/ --format kdump --compress zlib --dump-level 1 --portion 256M"
	: >"$scratch/calls"
done <<LINES
COMPRESS=zlib$cr
COMPRESS="zlib"
COMPRESS='zlib'
COMPRESS=zlib   # as before
COMPRESS="zlib"	# as before
COMPRESS = zlib
	COMPRESS=	zlib
LINES
# "read" above takes the blanks at the ends itself.
conf '  COMPRESS=zlib  ' '  # a comment' ' '
expect_code 0 "$saver" --check
expect_code 0 "$saver"
expect_called "--compress zlib"
printf 'TARGET="%s"\r\nCOMPRESS=zlib\r\nDUMP_LEVEL="1,31"' "$scratch/a # b" >"$HADUMP_CONF"
expect_code 0 "$saver"
expect_called "save --to $scratch/a # b/ --format kdump --compress zlib --dump-level 1,31"

begin "replaces what is wrong by a default that keeps the dump, and says so"
while read -r key value default; do
	conf "FAILURE_ACTION=release" "$key=$value"
	expect_code 2 "$saver" --check
	expect_said "$HADUMP_CONF: $key=$value: "
	expect_said "; using $default"
	expect_code 0 "$saver"
	expect_said "; using $default"
	[ "$key" = TARGET ] || expect_called "save --to $scratch/crash/ $defaults"
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || fail "released"
	: >"$scratch/calls"
done <<LINES
COMPRESS gzip lzo
COMPRESS zlib:10 lzo
COMPRESS "lzo lzo
COMPRESS "lzo"x lzo
FORMAT flattened kdump
FORMAT KDUMP kdump
DUMP_LEVEL 32 1
DUMP_LEVEL 1, 1
DUMP_LEVEL -1 1
PORTION 256X 256M
PORTION 0 256M
KEEP_OLD -1 0
KEEP_OLD 08 0
KEEP_OLD 99999999999999999999 0
MIN_FREE_MB 64M 64
FAILURE_ACTION Release keep
POST_HOOK mail none
POST_HOOK /etc/passwd none
TARGET root@backup:/var/crash $scratch/default
TARGET crash $scratch/default
LINES
expect_code 0 "$saver"
expect_called "save --to $scratch/default/ $defaults"

begin "says that only kdump is compressed, and saves another format"
for format in elf xen; do
	for codec in zstd auto; do
		conf "FORMAT=$format" "COMPRESS=$codec"
		expect_code 2 "$saver" --check
		expect_said "COMPRESS=$codec has no effect, since FORMAT=$format is not compressed"
		expect_code 0 "$saver"
		expect_called "--format $format --compress none"
	done
	for codec in none lzo; do # lzo stands in the file that is installed.
		conf "FORMAT=$format" "COMPRESS=$codec"
		: >"$scratch/calls"
		expect_code 0 "$saver"
		expect_called "--format $format --compress none"
		! grep -q "has no effect" "$scratch/output" || fail "complains of $codec"
	done
done

begin "says what to use instead of another system's directory"
conf TARGET=nfs:server:/x
expect_code 2 "$saver" --check
expect_said "mount its file system"

begin "--check looks at the target"
stub release-region "case \" \$* \" in *' --check '*) exec '$tool' \"\$@\" ;; esac"
conf TARGET=/dev/shm/crash
expect_code 2 "$saver" --check
expect_said "in memory and gone after the next boot"
conf TARGET=/dev/null
expect_code 2 "$saver" --check
mkdir -m 777 "$scratch/open"
conf "TARGET=$scratch/open/crash"
expect_code 2 "$saver" --check
expect_said "$scratch/open can be changed by others"
[ ! -e "$scratch/open/crash" ] || fail "made it"
stub_saves

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
