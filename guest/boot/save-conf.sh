# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with say(), only_ours(), is_saver() and $release_region: reads its configuration. A
# wrong value is reported and replaced by the default, so that a typing error costs neither the dump
# nor its memory.
# shellcheck shell=sh

conf=${HADUMP_CONF:-/etc/hadump/release-region.conf}
faults=0

fault() {
	say "$conf: $*"
	faults=$((faults + 1))
}

default_of() {
	case "$1" in
	SAVER) echo hadump ;;
	TARGET) echo "${HADUMP_DEFAULT_TARGET:-/var/crash}" ;;
	FORMAT) echo kdump ;;
	COMPRESS) echo lzo ;;
	DUMP_LEVEL) echo 1 ;;
	PORTION) echo 256M ;;
	KEEP_OLD) echo 0 ;;
	MIN_FREE_MB) echo 64 ;;
	FAILURE_ACTION) echo keep ;;
	esac
}

keys='SAVER TARGET FORMAT COMPRESS DUMP_LEVEL PORTION KEEP_OLD MIN_FREE_MB FAILURE_ACTION POST_HOOK'

# No leading zero: the shell's arithmetic would take it for an octal number.
is_number() {
	case "$1" in '' | *[!0-9]* | 0?*) return 1 ;; esac
	[ ${#1} -le 9 ]
}

# release-region itself says whether it accepts a value, whatever is mounted now. Without it nothing
# can be said.
accepts() {
	code=0 reason=$("${release_region:?}" save --check --volatile-target "$@" 2>&1 </dev/null) || code=$?
	reason=$(echo "$reason" | head -n 1)
	[ "$code" != 2 ]
}

# Whether $key can have this value; if not, $reason says why.
is_usable() {
	reason="not a number from 0 to 999999999"
	case "$key" in
	SAVER) is_saver "$1" ;;
	TARGET) is_target "$1" ;;
	FORMAT | COMPRESS | DUMP_LEVEL | PORTION)
		accepts --to /vmcore "--$(echo "$key" | tr A-Z_ a-z-)" "$1" ;;
	KEEP_OLD | MIN_FREE_MB) is_number "$1" ;;
	FAILURE_ACTION) reason="neither keep nor release" && { [ "$1" = keep ] || [ "$1" = release ]; } ;;
	POST_HOOK)
		[ -n "$1" ] || return 0
		reason="not an absolute path of a program" && [ -f "$1" ] && [ -x "$1" ] &&
			[ "${1#/}" != "$1" ] || return 1
		reason="others can change it, or the way to it" && only_ours "$1"
		;;
	esac
}

# Takes the blanks off both ends of $value.
trim() {
	value=${value#"${value%%[![:space:]]*}"}
	value=${value%"${value##*[![:space:]]}"}
}

# As a shell reads a word: quotes go, and so does a comment that a blank sets off.
unquote() {
	case "$value" in
	\"* | \'*)
		quote=${value%"${value#?}"} value=${value#?}
		rest=${value#*"$quote"}
		[ "$rest" != "$value" ] || return 1
		value=${value%%"$quote"*}
		rest=${rest#"${rest%%[![:space:]]*}"}
		[ "${rest%%#*}" = '' ] || return 1
		;;
	'#'*) value='' ;;
	*) value=${value%%[[:space:]]#*} && trim ;;
	esac
}

# Parses the file instead of sourcing it: a typing error must not become a command.
read_conf() {
	for key in $keys; do
		eval "$key=\$(default_of $key)"
	done
	[ -e "$conf" ] || return 0
	if [ ! -f "$conf" ] || [ ! -r "$conf" ]; then
		fault "not a readable file, using the defaults" && return 0
	fi
	only_ours "$conf" || { fault "others can change it, or the way to it: using the defaults" && return 0; }
	while IFS= read -r value || [ -n "$value" ]; do
		trim
		line=$value key=${value%%=*} value=${value#*=}
		case "$line" in '' | '#'*) continue ;; esac
		key=${key%"${key##*[![:space:]]}"}
		[ "$key" != "$line" ] || { fault "'$line' is not KEY=VALUE, ignoring" && continue; }
		case "$key" in
		SAVER | TARGET | FORMAT | COMPRESS | DUMP_LEVEL | PORTION | KEEP_OLD | MIN_FREE_MB | FAILURE_ACTION | POST_HOOK) ;;
		*) fault "unknown key '$key', ignoring" && continue ;;
		esac
		trim
		given=$value reason='quotes do not match'
		if ! unquote || ! is_usable "$value"; then
			value=$(default_of "$key")
			fault "$key=$given: $reason; using ${value:-none}"
		fi
		eval "$key=\$value"
	done <"$conf"
	# lzo is what nobody has chosen.
	case "$FORMAT:$COMPRESS" in kdump:* | *:none | *:lzo) ;; *) fault "COMPRESS=$COMPRESS has no effect, since FORMAT=$FORMAT is not compressed" ;; esac
	[ "$FORMAT" = kdump ] || COMPRESS=none
}
