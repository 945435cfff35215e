# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save and kdump-savecore: the other programs that save a /proc/vmcore.
# shellcheck shell=sh disable=SC2034

etc=${HADUMP_ETC:-/etc}
kdump_defaults=$etc/default/kdump-tools
kdump_config=${HADUMP_KDUMP_CONFIG:-/usr/sbin/kdump-config}

# Under systemd a drop-in keeps kdump-tools away; an init script can only be told by its admin.
find_conflict() {
	[ ! -d "${HADUMP_RUN_DIR:-/run}/systemd/system" ] && [ -z "${HADUMP_RESCUE:-}" ] || return 0
	find "$etc"/rc[2-5].d -name 'S??kdump-tools' 2>/dev/null | grep -q . || return 0
	! grep -qs '^[^#]*hadump.*node=' "$kdump_defaults" || return 0
	fault "/etc/init.d/kdump-tools would save the same dump and reboot; add to $kdump_defaults:" \
		"grep -q 'hadump\.node=' /proc/cmdline && USE_KDUMP=0"
}

# kdump_value NAME: as kdump-config has it, which sources the same file.
kdump_value() (
	set +eu
	# shellcheck source=/dev/null
	[ ! -r "$kdump_defaults" ] || . "$kdump_defaults" >/dev/null 2>&1
	eval "printf '%s\n' \"\${$1}\""
)

# How many places kdump-config saves to: FTP, SSH, and a directory, its own or by NFS.
kdump_places() {
	number=0
	[ -z "$(kdump_value FTP)" ] || number=$((number + 1))
	[ -z "$(kdump_value SSH)" ] || number=$((number + 1))
	[ "$number" -gt 0 ] && [ -z "$(kdump_value NFS)" ] || number=$((number + 1))
	echo "$number"
}

# The directory of this system that kdump-config saves to; nothing where it is another's.
kdump_directory() {
	[ -z "$(kdump_value NFS)$(kdump_value FTP)$(kdump_value SSH)" ] || return 0
	value=$(kdump_value KDUMP_COREDIR)
	echo "${value:-/var/crash}"
}

# Whether SAVER can have this value; if not, $reason says why.
is_saver() {
	reason="none of hadump, kdump-tools and command:/PROGRAM ARGUMENT…"
	case "$1" in
	hadump) return 0 ;;
	kdump-tools)
		reason="kdump-tools or makedumpfile is not installed"
		[ -x "$kdump_config" ] && command -v makedumpfile >/dev/null
		;;
	command:/*)
		program=${1#command:}
		program=${program%%[[:space:]]*}
		reason="not an absolute path of a program" && [ -f "$program" ] && [ -x "$program" ] || return 1
		reason="others can change it, or the way to it" && only_ours "$program"
		;;
	*) return 1 ;;
	esac
}

# other_saver [--check]: sets $code. Nothing but blanks divides a command into words.
other_saver() {
	code=0
	case "$SAVER" in
	kdump-tools)
		TARGET=$(kdump_directory)
		if [ -n "$TARGET" ]; then
			set -- "$@" --into "$TARGET"
			[ "$1" = --check ] || prepare_target || return 0
			# kdump-config gives up where somebody has made what it would make.
			[ "$1" = --check ] || [ "$FAILURE_ACTION" = keep ] || is_own_directory "$(readlink -f "$TARGET")" || {
				say "others can write to $TARGET: FAILURE_ACTION=keep"
				FAILURE_ACTION=keep
			}
		fi
		set -- "$@" -- "${lib:?}/kdump-savecore"
		;;
	command:*)
		set -f
		# shellcheck disable=SC2086
		set -- "$@" -- ${SAVER#command:}
		set +f
		;;
	esac
	"${release_region:?}" save-with "$@" >&2 || code=$?
}
