# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save and its init script: which files are ours, so that nobody else can change them.
# shellcheck shell=sh

our_user=$(id -u)

# facts_of PATH: sets $mode and $group, of a link its own. Fails if it is another user's.
facts_of() {
	facts=$(LC_ALL=C ls -lnd -- "$1" 2>/dev/null) || return 1
	set -f
	# shellcheck disable=SC2086
	set -- $facts
	set +f
	mode=$1 group=$4
	[ "$3" = 0 ] || [ "$3" = "$our_user" ]
}

# Group root may write, but not where an access list goes with it ("+"): then the group's bits are the
# mask of all whom that names.
nobody_else_writes() {
	case "$mode" in
	????????w* | ?????w????+*) return 1 ;;
	?????w*) [ "$group" = 0 ] ;;
	esac
}

# In a sticky directory nobody can replace what is ours. A link's mode says nothing.
is_ours() {
	facts_of "$1" || return 1
	case "$mode" in l* | d????????[tT]*) return 0 ;; esac
	nobody_else_writes
}

# A directory in which only we can make files.
is_own_directory() {
	[ ! -L "$1" ] && [ -d "$1" ] && facts_of "$1" && nobody_else_writes
}

# Whether nobody else can make the absolute path lead elsewhere, or change what is there: each
# directory, each link and the end are ours. As they are, that stays so.
only_ours() (
	todo=$1 at='' links=0
	case "$todo" in /*) ;; *) return 1 ;; esac
	is_ours / || return 1
	while [ -n "$todo" ]; do
		name=${todo%%/*}
		case "$todo" in */*) todo=${todo#*/} ;; *) todo='' ;; esac
		case "$name" in
		'' | .) continue ;;
		..) at=${at%/*} && continue ;;
		esac
		is_ours "$at/$name" || return 1
		if [ ! -L "$at/$name" ]; then
			at=$at/$name && continue
		fi
		links=$((links + 1))
		[ "$links" -le 40 ] && link=$(readlink -- "$at/$name") || return 1
		case "$link" in /*) at='' ;; esac
		todo=$link/$todo
	done
)

# The names of the directories in directory $1 that are ours. One look at each entry: others may have
# made many.
own_directories() {
	find "$1/" -mindepth 1 -maxdepth 1 -type d '(' -user 0 -o -user "$our_user" ')' | sed 's|.*/||'
}
