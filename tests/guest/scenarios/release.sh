# SPDX-License-Identifier: GPL-2.0-or-later
# Whole blocks: claimed, released one by one, hidden, usable; then the save area ends the dump.
before=$(mem_total_kib)
load
fact "a dump waits" test -f $REGION
same "the dump's name" 0123456789abcdef1032547698badcfe "$(cat $HADUMP/dump_id)"
same "everything is held" $((512 << 20)) "$(cat $HADUMP/mem_held)"
same "one line with the documented form" \
  "CPU:0x30011000-0x123: HPTE:0x30012000-0x18: DUMP:0x30200000-0x1000000, 0x10000000-0x20000000:" \
  "$(cat $REGION)"
cat $HADUMP/regions
same "regions" "0x0 0x1000000 window
0x10000000 0x30000000 held
0x30000000 0x38000000 save-area" "$(cat $HADUMP/regions)"
grep -i -E 'hadump|unknown|unusable' /proc/iomem
same "one claim for each block" 4 "$(grep -c ' : hadump held$' /proc/iomem)"
fact "the save area is claimed" grep -q '^30000000-37ffffff : hadump save area$' /proc/iomem
fact "no map entry is left" test -z "$(grep -E 'Unknown E820' /proc/iomem)"
same "low memory in vmcore" 3000 "$(vmcore_word 0x3000)"
same "held memory in vmcore" 18000000 "$(vmcore_word 0x18000000)"

taken $REGION "0x18000000 0x8000000"
sleep 1
same "the released block is hidden" 0 "$(vmcore_word 0x18000000)"
same "its end is hidden" 0 "$(vmcore_word 0x1ffff000)"
same "the next one is not" 20000000 "$(vmcore_word 0x20000000)"
same "held is less" $((384 << 20)) "$(cat $HADUMP/mem_held)"
grown=$(($(mem_total_kib) - before))
fact "Linux has the block: $grown KiB" between 128000 $grown 131072
fact "it is system RAM" grep -q '^18000000-1fffffff : System RAM (hadump)$' /proc/iomem

taken $REGION "10000000 8000000"
taken $REGION "0x20000000 0x10000000
"
same "nothing is held" 0 "$(cat $HADUMP/mem_held)"
fact "the file is still there" test -f $REGION
taken $REGION "0x30000000 0x8000000"
fact "the file is gone" test ! -e $REGION
same "low memory is hidden" 0 "$(vmcore_word 0x3000)"
same "no dump, no name" "" "$(cat $HADUMP/dump_id)"
sleep 1
grown=$(($(mem_total_kib) - before))
fact "all is back: $grown KiB" between 516096 $grown 524288
fact "added memory stays claimed until the agent has taken it" \
  grep -q '^30000000-37ffffff : hadump save area$' /proc/iomem
fact "all blocks are online" test -z "$(grep -l offline /sys/devices/system/memory/memory*/state)"
mount -t tmpfs -o size=650m tmp /tmp
dd if=/dev/zero of=/tmp/fill bs=1M count=600 2>/dev/null
same "it can be filled" $((600 << 20)) "$(stat -c %s /tmp/fill)"
