#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut hook, sourced: see the initramfs-tools script of the same purpose.

modprobe -q hadump ||
	echo "hadump: hadump.ko does not load; a waiting dump stays untouched" >/dev/kmsg || :
