# SPDX-License-Identifier: GPL-2.0-or-later
# Killed between two releases: what the table says then is what the agent goes by.
load
taken $REGION "0x20000000 0x8000000"
taken $REGION "0x10000000 0x4000000"
sync
echo HADUMP-CRASHES
echo 1 > /proc/sys/kernel/sysrq
echo c > /proc/sysrq-trigger
