#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut hook, sourced: see the initramfs-tools script of the same purpose.

modprobe -q hadump ||
	echo "hadump: cannot load hadump.ko; a waiting dump stays untouched" >/dev/kmsg || :
