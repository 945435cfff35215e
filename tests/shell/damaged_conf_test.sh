#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guest/boot/hadump-save with damaged configurations: whatever the file has become, the memory is not
# thrown away, no other file is touched, nothing in it is run, and the scripts themselves hold.
# HADUMP_SEEDS=100-2000 tries others than the 25 of each check; a failure names its seed.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

saver=$here/../../guest/boot/hadump-save
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_CONF="$scratch/conf"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region" HADUMP_DEFAULT_TARGET="$scratch/default"
export HADUMP_MACHINE_ID="$scratch/machine-id" HADUMP_MOUNT_SECONDS=0 HADUMP_FSTAB=/dev/null LC_ALL=C
: >"$scratch/kernel/release_region"
# As the real one: a value with anything unusual in it is refused. A save fails, or it succeeds.
stub release-region "case \" \$* \" in
	*' --check '*) case \"\$*\" in *[!-a-zA-Z0-9/,:._\ ]*) echo refused >&2; exit 2 ;; esac ;;
	*) exit \"\$(cat '$scratch/result')\" ;;
esac"
# A damaged TARGET may be anywhere.
stub mkdir "case \" \$*\" in *' $scratch/'*) exec /bin/mkdir \"\$@\" ;; esac; exit 1"
stub hook "touch '$scratch/hook-ran'"

echo 1 >"$HADUMP_MACHINE_ID"
host=$(uname -n | tr -c 'A-Za-z0-9.\n-' _)
old=("$host-20240101T000000" "$host-20250101T000000" "$host-20260101T000000")
others=(crash/elsewhere-20240101T000000/vmcore crash/notes.txt default/kept precious/vmcore)

# A directory with this host's dumps, and files that are not a dump of this host.
set_up() {
	local name
	rm -rf "$scratch"/crash "$scratch"/default "$scratch"/precious "$scratch"/{ran,hook-ran}
	mkdir -p "${old[@]/#/$scratch/crash/}" "$scratch"/{crash/elsewhere-20240101T000000,default,precious}
	for name in "${old[@]}"; do
		: >"$scratch/crash/$name/vmcore"
		printf 'hadump 1\n' | sha256sum | cut -c -64 >"$scratch/crash/$name/.hadump-machine"
	done
	for name in "${others[@]}"; do echo precious >"$scratch/$name"; done
	: >"$scratch/kernel/hadump/release_mem"
}

whole_conf() {
	cat <<-CONF
		# How to save: \$(touch $scratch/ran) \`touch $scratch/ran\`
		TARGET="$scratch/crash"
		FORMAT=kdump   # or elf
		COMPRESS='zlib'
		DUMP_LEVEL=1,31
		PORTION=64M
		KEEP_OLD=0
		MIN_FREE_MB=0
		FAILURE_ACTION=keep
		POST_HOOK=
	CONF
}

# Some changes: a byte of any value, a stretch that is lost, doubled or moved, a cut.
damage() {
	local text=$1 changes=$((1 + RANDOM % 6)) at length piece
	local bytes=($'\n' ' ' '"' "'" '$' "\`" ';' '|' '&' '*' '/' \\ '=' '#' '(' '<' $'\r' $'\t' 0 9 $'\xff' $'\x01' -)
	for (( ; changes > 0; --changes)); do
		at=$((RANDOM % (${#text} + 1))) length=$((1 + RANDOM % 30))
		piece=${text:at:length}
		case $((RANDOM % 6)) in
		0 | 1) text=${text:0:at}${bytes[RANDOM % ${#bytes[@]}]}${text:at+1} ;;
		2) text=${text:0:at}${bytes[RANDOM % ${#bytes[@]}]}${text:at} ;;
		3) text=${text:0:at}${text:at+length} ;;
		4) text=${text:0:at}$piece$piece${text:at+length} ;;
		5) [ $((RANDOM % 4)) != 0 ] || text=${text:0:at} ;;
		esac
	done
	printf '%s' "$text"
}

# Told so by what is left of the file; quotes and blanks may be anywhere.
says() { tr -d "\"' \t\r" <"$HADUMP_CONF" | grep -aqE "^$1"; }

expect_no_harm() {
	local name
	[ ! -s "$scratch/kernel/hadump/release_mem" ] || says FAILURE_ACTION=release || fail "$1: released the memory"
	for name in ran hook-ran; do
		[ ! -e "$scratch/$name" ] || fail "$1: ran what the file says"
	done
	for name in "${others[@]}"; do
		[ "$(cat "$scratch/$name" 2>&1)" = precious ] || fail "$1: $name is gone"
	done
	for name in "${old[@]}"; do
		[ -e "$scratch/crash/$name/vmcore" ] || says 'KEEP_OLD=[1-9]' || fail "$1: $name is gone"
	done
	# Messages of the shell itself: a script that stumbled over a value.
	! grep -aqE '(syntax error|bad substitution|[Uu]nterminated|arithmetic|Illegal number|unexpected operator|not found|integer expr|: line [0-9])' \
		"$scratch/output" || fail "$1: a script stumbled"
}

seeds=${HADUMP_SEEDS:-0-25}
whole=$(whole_conf)
for ((seed = ${seeds%-*}; seed < ${seeds#*-}; ++seed)); do
	begin "damaged configuration $seed"
	RANDOM=$seed
	set_up
	damage "$whole" >"$HADUMP_CONF"
	case $((RANDOM % 3)) in 0) code=4 ;; 1) code=1 ;; *) code=0 ;; esac
	echo "$code" >"$scratch/result"
	ended=0
	PATH="$scratch/bin:$PATH" timeout 20 "$saver" >"$scratch/output" 2>&1 || ended=$?
	cp "$HADUMP_CONF" "$scratch/damaged"
	# A target that is not mounted, cannot be made, or has too little room: 1, 2 and 4. Anything else is the save's own.
	case "$ended" in "$code" | 1 | 2 | 4) ;; *) fail "ended with $ended, the save with $code" ;; esac
	expect_no_harm "seed $seed"
done
