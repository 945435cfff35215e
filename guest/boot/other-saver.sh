# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by hadump-save, with fault(): the other programs that save a /proc/vmcore.
# shellcheck shell=sh

etc=${HADUMP_ETC:-/etc}

# Under systemd a drop-in keeps kdump-tools away; an init script can only be told by its admin.
find_conflict() {
	[ ! -d "${HADUMP_RUN_DIR:-/run}/systemd/system" ] || return 0
	find "$etc"/rc[2-5].d -name 'S??kdump-tools' 2>/dev/null | grep -q . || return 0
	! grep -qs '^[^#]*hadump.*node=' "$etc/default/kdump-tools" || return 0
	fault "/etc/init.d/kdump-tools would save the same dump and reboot; add to $etc/default/kdump-tools:" \
		"grep -q 'hadump\.node=' /proc/cmdline && USE_KDUMP=0"
}
