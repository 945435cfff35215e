# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with say(): which files are ours, and which dumps can go.
# shellcheck shell=sh

# What anybody else can write, or replace, is not believed. A group that is not root's counts.
only_ours() {
	for path in "$1" "$(dirname "$(readlink -f "$1")")"; do
		facts=$(stat -L -c '%u %g %a' "$path") || return 1
		case "${facts#* }" in
		*[2367] | [!0]*' '*[2367]?) return 1 ;;
		esac
		[ "${facts%% *}" = 0 ] || [ "${facts%% *}" = "$(id -u)" ] || return 1
	done
}

# Complete dumps in TARGET, newest first. An unfinished one is never listed: it may be the only copy
# of released memory.
complete_dumps() {
	for dump in "$TARGET"/*-[0-9]*T[0-9]*/vmcore; do
		[ -f "$dump" ] || continue
		[ -e "${dump%/*}/.vmcore.hadump-journal" ] || echo "${dump%/*}"
	done | sed 's/.*-\([0-9]*T[0-9]*\)$/\1 &/' | sort -r | cut -d' ' -f2-
}

delete_old() {
	[ "$KEEP_OLD" -gt 0 ] || return 0
	complete_dumps | tail -n "+$KEEP_OLD" | while IFS= read -r directory; do
		say "deleting $directory: KEEP_OLD=$KEEP_OLD"
		rm -f "$directory/vmcore" "$directory/dmesg.txt"
		rmdir "$directory" || say "$directory has other files, keeping them"
	done
}
