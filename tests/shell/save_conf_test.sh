#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What hadump-save makes of the values that people write into its configuration, with the real
# release-region as their judge. Usage: save_conf_test.sh RELEASE-REGION
set -eu
tool=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/save_conf_lib.sh
. "$here/save_conf_lib.sh"

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

echo "all passed"
