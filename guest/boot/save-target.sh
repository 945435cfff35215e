# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with say(), accepts(), save-files.sh and what is configured: whether TARGET is there, and has room.
# shellcheck shell=sh disable=SC2034

fstab=${HADUMP_FSTAB:-/etc/fstab}
mounts=${HADUMP_MOUNTS:-/proc/self/mounts}
# As long as systemd waits for a disk.
mount_seconds=${HADUMP_MOUNT_SECONDS:-90}

# Whether TARGET can have this value; if not, $reason says why.
is_target() {
	case "$1" in
	/*) return 0 ;;
	*:*) accepts --to "$1" ;; # Another system's: for the reason.
	*) reason="not an absolute path" ;;
	esac
	return 1
}

# Mount points of fstab on the path to TARGET where nothing is mounted.
unmounted() {
	[ -r "$fstab" ] || return 0
	target=$(readlink -f "$TARGET" || printf '%s\n' "$TARGET") awk '
		function plain(name) { gsub(/\\040/, " ", name); sub(/\/+$/, "", name); return name }
		{ point = plain($2) }
		FILENAME == ARGV[1] { mounted[point]; next }
		/^[ \t]*#/ || $2 !~ /^\/./ || point in mounted { next }
		index(ENVIRON["target"] "/", point "/") == 1 { print point }' "$mounts" "$fstab"
}

# If its file system is not mounted, TARGET would fill another one, and the dump would be hidden later.
await_target() {
	left=$mount_seconds
	while point=$(unmounted | head -n 1) && [ -n "$point" ]; do
		[ "$left" -gt 0 ] || { say "$TARGET: nothing is mounted on $point" && return 1; }
		[ "$left" -lt "$mount_seconds" ] || say "waiting for $point to be mounted"
		sleep 1
		left=$((left - 1))
	done
}

# Waits for TARGET, and makes it. Sets $code and fails if it cannot be used. What somebody may have put in
# the way is a refused target, for which nothing is ever released.
prepare_target() {
	code=1
	await_target || return 1
	# Before anything is looked for, made or deleted there, and again when it has been made.
	target_is_accepted || return 1
	if [ ! -d "$TARGET" ]; then
		code=2
		make_directory "$TARGET" || { say "cannot create $TARGET" && return 1; }
		target_is_accepted || return 1
	fi
	code=4
	while ! enough_room && make_room; do :; done
	enough_room || { say "less than $MIN_FREE_MB MiB free in $TARGET" && return 1; }
	code=0
}

target_is_accepted() {
	code=0
	"${release_region:?}" save --check --to "$TARGET/" >&2 || code=$?
	[ "$code" != 1 ] || code=2
	[ "$code" = 0 ]
}

# With those on the way to it. Where others can write, only a name that nothing has yet.
make_directory() {
	[ ! -d "$1" ] || return 0
	make_directory "$(dirname "$1")" && only_ours "$(dirname "$1")" && mkdir "$1"
}

# A dump already begun in TARGET needs less room than a new one, and none if it is complete.
enough_room() {
	[ -z "$(begun)" ] || return 0
	free_kb=$(df -Pk "$TARGET" | awk 'NR == 2 { print $4 }')
	[ "${free_kb:-0}" -ge $((MIN_FREE_MB * 1024)) ]
}

# Sets $to: TARGET/, in which release-region names the dump, or what other_place has made for this one.
find_place() {
	to=$TARGET/
	name=$(begun) || name=''
	case "$name" in *.??????) to=$TARGET/$name/vmcore ;; esac
}

# Something that is not ours has the dump's name. A name that nobody can know before, then.
other_place() {
	to=$(mktemp -d "$TARGET/$(own_host)-$(date -u +%Y%m%dT%H%M%S).XXXXXX") || { say "cannot create a directory in $TARGET" && return 1; }
	# A release must not come before its name is durable.
	sync "$TARGET" 2>/dev/null || sync
	say "something in $TARGET has this dump's name: saving to $to instead"
	to=$to/vmcore
}

# An empty directory of other_place is of no use to anybody.
drop_place() {
	case "$to" in */vmcore) rmdir "${to%/*}" 2>/dev/null || : ;; esac
}
