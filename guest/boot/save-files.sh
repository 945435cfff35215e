# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with say(), trusted-files.sh and $kernel_dir: the dumps in TARGET, and which can go.
# shellcheck shell=sh

# The last one is made where there is none.
machine_ids="${HADUMP_MACHINE_ID:-/etc/machine-id} ${HADUMP_STATE_DIR:-/var/lib/hadump}/machine-id"
mark=.hadump-machine

# A journal that only we can have written, of the dump with this id.
is_journal_of() {
	[ ! -L "$2" ] && [ -f "$2" ] && is_ours "$2" && grep -qxF "dump $1" "$2"
}

waiting_id() {
	cat "${kernel_dir:?}/hadump/dump_id" 2>/dev/null
}

# The name of the directory in TARGET where the waiting dump was begun. What others have put there is not
# even opened.
begun() {
	id=$(waiting_id) && [ -n "$id" ] || return 0
	own_directories "${TARGET:?}" | while IFS= read -r name; do
		! is_own_directory "$TARGET/$name" || ! is_journal_of "$id" "$TARGET/$name/.vmcore.hadump-journal" ||
			{ printf '%s\n' "$name" && break; }
	done
}

# Whether it is the journal of a complete dump, left by a saver that was killed when all of the memory
# was back: another dump waits now.
is_over() {
	[ "${1##*/}" = .vmcore.hadump-journal ] && now=$(waiting_id) && [ -n "$now" ] &&
		[ ! -L "$1" ] && [ -f "$1" ] && is_ours "$1" && ! is_journal_of "$now" "$1" &&
		[ "$(tail -n 1 "$1")" = published ]
}

# Whether the directory is a dump that is complete, and nothing but that: no link, with no sign of a
# save that has not ended. Such a one may hold the only copy of released memory.
is_complete_dump() {
	is_own_directory "$1" && [ ! -L "$1/vmcore" ] && [ -f "$1/vmcore" ] || return 1
	for unfinished in "$1"/.vmcore.hadump-journal* "$1"/vmcore-incomplete*; do
		[ ! -e "$unfinished" ] && [ ! -L "$unfinished" ] || is_over "$unfinished" || return 1
	done
}

# This machine, also when others have its name. Hashed, as machine-id(5) asks.
machine() {
	for file in $machine_ids; do
		id=$(head -n 1 "$file" 2>/dev/null) || continue
		[ -z "$id" ] || [ "$id" = uninitialized ] || break
		id=''
	done
	[ -n "$id" ] && printf 'hadump %s\n' "$id" | sha256sum | cut -c -64
}

# Notes in directory $1, where a dump has just been saved, whose it is.
mark_dump() {
	is_own_directory "$1" || return 0
	[ -n "$(machine)" ] || new_machine_id || :
	machine >"$1/$mark" || say "cannot note in $1 whose dump it is: KEEP_OLD will not delete it"
}

new_machine_id() {
	file=${machine_ids##* }
	mkdir -p "${file%/*}" && tr -d - </proc/sys/kernel/random/uuid >"$file.new" && mv "$file.new" "$file"
}

own_host() {
	uname -n | LC_ALL=C tr -c 'A-Za-z0-9.\n-' _ | sed 's/^\./_/'
}

# This machine's complete dumps in TARGET, by name, the newest crash first. The target may be shared.
own_dumps() {
	machine=$(machine) || return 0
	own_directories "${TARGET:?}" |
		grep -xE "$(own_host | sed 's/\./\\./g')-[0-9]{8}T[0-9]{6}(\.[A-Za-z0-9]{6})?" |
		while IFS= read -r name; do
			! is_complete_dump "$TARGET/$name" || [ "$(cat "$TARGET/$name/$mark" 2>/dev/null)" != "$machine" ] ||
				echo "$name"
		done | LC_ALL=C sort -r
}

# All but the newest $1, oldest first; $2 is not counted.
older_dumps() {
	own_dumps | grep -vxF "${2:-/}" | tail -n "+$(($1 + 1))" | LC_ALL=C sort
}

# Removes one of own_dumps, from inside, so that it cannot become a link meanwhile.
delete_dump() {
	say "deleting $TARGET/$1: KEEP_OLD=$KEEP_OLD"
	(cd -P "$TARGET" && target=$(pwd -P) && cd -P "$1" && [ "$(pwd -P)" = "${target%/}/$1" ] &&
		rm -f vmcore dmesg.txt vmcore-dmesg.txt .vmcore.hadump-journal "$mark") ||
		{ say "cannot delete $TARGET/$1" && return 1; }
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
