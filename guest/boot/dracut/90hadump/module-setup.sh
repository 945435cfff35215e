#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut module: hadump.ko in the initramfs, loaded before udev starts any driver.

check() {
	# Wherever the kernel module is installed for this kernel.
	# shellcheck disable=SC2154 # dracut sets $kernel.
	modinfo -k "$kernel" hadump >/dev/null 2>&1 || return 1
	return 0
}

depends() {
	return 0
}

installkernel() {
	instmods hadump
}

install() {
	# shellcheck disable=SC2154 # dracut sets $moddir.
	inst_hook pre-udev 05 "$moddir/hadump-load.sh"
	inst_hook pre-pivot 50 "$moddir/hadump-rescue.sh"
	inst_multiple chroot mount umount
	# For whoever loads the module in the initramfs: systemd-modules-load is earlier than our hook.
	# shellcheck disable=SC2154 # dracut sets $initdir.
	mkdir -p "$initdir/etc/modprobe.d"
	echo "options hadump can_rescue=1" >"$initdir/etc/modprobe.d/hadump-rescue.conf"
}
