# SPDX-License-Identifier: GPL-2.0-or-later
# What a dump of this running kernel would come to.
dd if=/dev/urandom of=/tmp/noise bs=1M count=32 2>/dev/null
echo "MEMORY $(mem_total_kib) KiB, cached $(sed -n 's/^Cached: *\([0-9]*\).*/\1/p' /proc/meminfo)"
echo "ESTIMATE $(release-region estimate --json --compress none --dump-level 0,2,31)"
fact "a table for people" release-region estimate --all-levels
mkdir /tmp/small
mount -t tmpfs -o size=64m none /tmp/small
release-region estimate --compress none --dump-level 0 --to /tmp/small
same "the whole memory does not fit into 64 MiB" 4 $?
