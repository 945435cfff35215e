# SPDX-License-Identifier: GPL-2.0-or-later
# A bad node exports nothing and claims nothing, and says why. The runner has put one tree after the
# other at 0x34000000, 64 KiB each, and their names into the command line.
map=$(cat /proc/iomem)
dmesg -c > /dev/null
address=$((0x34000000))
for name in $(sed -n 's/.*bad_nodes=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' '); do
  error=$(insmod /hadump.ko node=$address 2>&1) && echo "FAIL $name was taken"
  same "$name: an error" "insmod: can't insert '/hadump.ko'" "${error%%: [A-Z]*}"
  dmesg -c | sed -n 's/.*hadump: \(node\|save area\|0x\)/  says \1/p' | head -1 > /tmp/why
  fact "$name: a reason" test -s /tmp/why
  cat /tmp/why
  fact "$name: no file" test ! -e $REGION -a ! -e $HADUMP
  same "$name: the same map" "$map" "$(cat /proc/iomem)"
  address=$((address + 0x10000))
done
# The good one is still as good as ever.
load
fact "the good node is taken" test -f $REGION
