# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with say() and $kernel_dir: which files are ours, and which dumps can go.
# shellcheck shell=sh

# What anybody else can write, or replace, is not believed. A group that is not root's counts; in a
# sticky directory nobody can replace what is ours.
only_ours() {
	for path in "$1" "$(dirname "$(readlink -f "$1")")"; do
		facts=$(stat -L -c '%u %g %a' "$path") || return 1
		case "${facts#* }" in
		*' '[1357]???) [ -d "$path" ] || return 1 ;;
		*[2367] | [!0]*' '*[2367]?) return 1 ;;
		esac
		[ "${facts%% *}" = 0 ] || [ "${facts%% *}" = "$(id -u)" ] || return 1
	done
}

# Whether it is the journal of a complete dump, left by a saver that was killed when all of the memory
# was back: another dump waits now.
is_over() {
	[ "${1##*/}" = .vmcore.hadump-journal ] && now=$(cat "${kernel_dir:?}/hadump/dump_id" 2>/dev/null) && [ -n "$now" ] &&
		[ ! -L "$1" ] && [ -f "$1" ] && only_ours "$1" && ! grep -qxF "dump $now" "$1" &&
		[ "$(tail -n 1 "$1")" = published ]
}

# Whether the directory is a dump that is complete, and nothing but that: no link, with no sign of a
# save that has not ended. Such a one may hold the only copy of released memory.
is_complete_dump() {
	[ ! -L "$1" ] && [ -d "$1" ] && only_ours "$1" && [ ! -L "$1/vmcore" ] && [ -f "$1/vmcore" ] || return 1
	for unfinished in "$1"/.vmcore.hadump-journal* "$1"/vmcore-incomplete*; do
		[ ! -e "$unfinished" ] && [ ! -L "$unfinished" ] || is_over "$unfinished" || return 1
	done
}

# This machine's complete dumps in TARGET, by name, the newest crash first. The target may be shared.
own_dumps() (
	cd "${TARGET:?}" || return 0
	host=$(uname -n | LC_ALL=C tr -c 'A-Za-z0-9.\n-' _ | sed 's/^\./_/')
	day='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' time='[0-9][0-9][0-9][0-9][0-9][0-9]'
	for name in "$host"-${day}T$time; do
		! is_complete_dump "$name" || echo "$name"
	done | sort -r
)

# All but the newest $1, oldest first; $2 is not counted.
older_dumps() {
	own_dumps | grep -vxF "${2:-/}" | tail -n "+$(($1 + 1))" | sort
}

# Removes one of own_dumps, from inside, so that it cannot become a link meanwhile.
delete_dump() {
	say "deleting $TARGET/$1: KEEP_OLD=$KEEP_OLD"
	(cd -P "$TARGET" && target=$(pwd -P) && cd -P "$1" && [ "$(pwd -P)" = "${target%/}/$1" ] &&
		rm -f vmcore dmesg.txt .vmcore.hadump-journal) || { say "cannot delete $TARGET/$1" && return 1; }
	rmdir "$TARGET/$1" || say "$TARGET/$1 has other files, keeping them"
}

# After the dump in directory $1 is complete.
delete_old() {
	[ "$KEEP_OLD" -gt 0 ] || return 0
	for name in $(older_dumps "$((KEEP_OLD - 1))" "${1##*/}"); do
		delete_dump "$name" || :
	done
}

# Before it is: the oldest that would go anyway, but never the newest complete one.
make_room() {
	[ "$KEEP_OLD" -gt 0 ] || return 1
	oldest=$(older_dumps "$((KEEP_OLD > 1 ? KEEP_OLD - 1 : 1))" | head -n 1)
	[ -n "$oldest" ] && delete_dump "$oldest"
}
