# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-memory, with say(), lack(), $proc and $run_dir: keeps settings that take memory by a
# wish, such as vm.nr_hugepages, away from the window, and sets them when all memory is back.
# shellcheck shell=sh

sysctl=${HADUMP_SYSCTL:-/usr/lib/systemd/systemd-sysctl}
# The last file of all wins.
override=${run_dir:?}/sysctl.d/zzzz-hadump-window.conf
hidden=$run_dir/hadump/sysctl
sysctls='nr_hugepages nr_hugepages_mempolicy min_free_kbytes'

keep_sysctls_away() {
	if [ -d "$run_dir/systemd/system" ]; then override_sysctls; else hide_sysctls; fi
}

override_sysctls() {
	mkdir -p "${override%/*}"
	{
		echo "# Until a crashed kernel's memory is back: what is there now. See hadump-memory.service."
		for name in $sysctls; do
			[ ! -r "${proc:?}/sys/vm/$name" ] || echo "vm.$name = $(cat "$proc/sys/vm/$name")"
		done
	} >"$override"
}

# procps reads /etc/sysctl.conf after all others, so no file overrides it. Whoever sets these
# meanwhile writes to a file of ours, and what is in there is set later.
hide_sysctls() {
	mkdir -p "$hidden"
	for name in $sysctls; do
		if [ ! -r "$proc/sys/vm/$name" ] || [ -e "$hidden/$name" ]; then continue; fi
		cat "$proc/sys/vm/$name" >"$hidden/$name.was"
		cp "$hidden/$name.was" "$hidden/$name"
		mount --bind "$hidden/$name" "$proc/sys/vm/$name" || {
			say "vm.$name cannot be kept away; what sysctl.conf has applies at once"
			rm -f "$hidden/$name" "$hidden/$name.was"
		}
	done
}

restore_sysctls() {
	[ ! -e "$override" ] || restore_overridden
	[ ! -d "$hidden" ] || restore_hidden
}

# As large as the memory is now.
restore_overridden() {
	rm -f "$override"
	[ -x "$sysctl" ] || return 0
	set --
	for name in $sysctls; do set -- "$@" "--prefix=/vm/$name"; done
	"$sysctl" "$@" || lack "$sysctl failed: settings for the full memory may be missing"
}

# Only one of several at a time gets each.
restore_hidden() {
	for name in $sysctls; do
		mv "$hidden/$name" "$hidden/$name.$$" 2>/dev/null || continue
		real=$proc/sys/vm/$name
		umount "$real" || umount -l "$real" || lack "vm.$name cannot be set: umount $real"
		wish=$(cat "$hidden/$name.$$")
		if [ "$wish" != "$(cat "$hidden/$name.was")" ]; then
			echo "$wish" 2>/dev/null >"$real" || :
			[ "$(cat "$real")" = "$wish" ] || lack "vm.$name = $wish was wanted, and is $(cat "$real")"
		fi
		rm -f "$hidden/$name.$$" "$hidden/$name.was"
	done
	rmdir "$hidden" 2>/dev/null || :
}
