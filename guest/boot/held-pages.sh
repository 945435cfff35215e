# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-memory, with say(), lack(), $kernel_dir and $proc: sets what hadump.held= names, and
# $failed if huge pages are missing then.
# shellcheck shell=sh

nodes=${HADUMP_NODES_DIR:-/sys/devices/system/node}
tries=${HADUMP_TRIES:-10}
max_held=512

# No leading zero: arithmetic would take it for an octal number.
is_number() {
	case "$1" in '' | *[!0-9]* | 0?*) return 1 ;; esac
	[ ${#1} -le 13 ]
}

# raise FILE NUMBER WHAT: never lowers it; somebody else may have wanted more.
raise() {
	left=$tries
	while has=$(cat "$1" 2>/dev/null) && is_number "$has"; do
		[ "$has" -lt "$2" ] || { say "$3: $has" && return 0; }
		[ "$left" -gt 0 ] || break
		[ "$left" = "$tries" ] || sleep 1
		left=$((left - 1))
		# What has been used since the boot lies everywhere.
		echo 1 2>/dev/null >"${proc:?}/sys/vm/compact_memory" || :
		echo "$2" 2>/dev/null >"$1" || :
	done
	lack "$3: $2 are wanted, ${has:-none} are there; for more: echo $2 > $1"
	# shellcheck disable=SC2034 # hadump-memory ends with it.
	failed=1
}

# pages NAME COUNTS, as in "hugepages-2048kB" "0:512,1:512".
pages() {
	size=${1#hugepages} size=${size#-} size=${size%kB}
	[ "$1" != hugepages ] || size=$(awk '$1 == "Hugepagesize:" { print $2 }' "${proc:?}/meminfo")
	is_number "$size" || return 1
	case "$2" in
	*:*)
		rest=$2,
		while [ -n "$rest" ]; do
			one=${rest%%,*} rest=${rest#*,}
			node=${one%%:*} count=${one#*:}
			is_number "$node" && [ ${#node} -le 4 ] && is_number "$count" || return 1
			raise "$nodes/node$node/hugepages/hugepages-${size}kB/nr_hugepages" "$count" \
				"huge pages of $size kB on node $node"
		done
		;;
	*)
		is_number "$2" || return 1
		raise "${kernel_dir:?}/mm/hugepages/hugepages-${size}kB/nr_hugepages" "$2" "huge pages of $size kB"
		;;
	esac
}

# bring_back VALUE
bring_back() {
	if [ ${#1} -gt "$max_held" ]; then
		lack "hadump.held= is too long, ignoring it"
		return 0
	fi
	rest_items=$1\; never=''
	while [ -n "$rest_items" ]; do
		item=${rest_items%%;*} rest_items=${rest_items#*;}
		case "$item" in
		'') ;;
		hugepages=* | hugepages-*kB=*)
			pages "${item%%=*}" "${item#*=}" || lack "'$item' in hadump.held= is not known, ignoring it"
			;;
		*[!a-z0-9_.]*) lack "'$item' in hadump.held= is not known, ignoring it" ;;
		*) never="$never $item" ;;
		esac
	done
	[ -z "$never" ] || lack "not before the next reboot:$never"
}
