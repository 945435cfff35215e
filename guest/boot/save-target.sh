# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with say(), accepts(), $kernel_dir and what is configured: whether TARGET is there, and has room.
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

# Waits for TARGET, and makes it. Sets $code and fails if it cannot be used.
prepare_target() {
	code=1
	await_target || return 1
	mkdir -p "$TARGET" || { say "cannot create $TARGET" && return 1; }
	code=4
	while ! enough_room && make_room; do :; done
	enough_room || { say "less than $MIN_FREE_MB MiB free in $TARGET" && return 1; }
	code=0
}

# A dump already begun in TARGET needs less room than a new one, and none if it is complete.
enough_room() {
	id=$(cat "${kernel_dir:?}/hadump/dump_id" 2>/dev/null) || id=''
	[ -z "$id" ] || ! grep -qsxF "dump $id" "$TARGET"/*/.vmcore.hadump-journal || return 0
	free_kb=$(df -Pk "$TARGET" | awk 'NR == 2 { print $4 }')
	[ "${free_kb:-0}" -ge $((MIN_FREE_MB * 1024)) ]
}
