#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut hook, sourced: see the initramfs-tools script of the same purpose in init-bottom.

hadump_rescue() {
	rescue=/usr/lib/hadump/hadump-rescue
	case " $(cat "${HADUMP_PROC_DIR:-/proc}/cmdline") " in *' hadump.rescue=1 '*) ;; *) return 0 ;; esac
	[ -e "${HADUMP_KERNEL_DIR:-/sys/kernel}/release_region" ] || return 0
	if [ ! -x "${NEWROOT:?}$rescue" ]; then
		echo "hadump: no rescue boot: the root file system has no $rescue" >"${HADUMP_KMSG:-/dev/kmsg}"
		return 0
	fi
	for dir in dev proc run sys; do
		mount -o bind "/$dir" "$NEWROOT/$dir" || :
	done
	chroot "$NEWROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/unshare -m "$rescue" \
		>/dev/console 2>&1 || :
	for dir in sys run proc dev; do
		umount "$NEWROOT/$dir" || :
	done
}

hadump_rescue
