#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# PID 1 of the plain guest: the file systems, then the scenario, then a sign for the runner.
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
echo online > /sys/devices/system/memory/auto_online_blocks
. /lib.sh
. /scenario.sh
sync
echo HADUMP-SCENARIO-END
while :; do sleep 60; done
