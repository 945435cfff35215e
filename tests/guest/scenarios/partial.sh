# SPDX-License-Identifier: GPL-2.0-or-later
# Frames are counted one by one; a block goes back with its last one. Holes need no asking: the made-up
# dump has none after [0x10001000, 0x10010000) and none after the whole last block.
before=$(mem_total_kib)
load
cat $HADUMP/regions
same "holes do not count" $(((384 << 20) - 0xf000)) "$(cat $HADUMP/mem_held)"
taken $REGION "0x10000000 0x4000000"
taken $REGION "0x17fff000 0x1000"
same "two pieces are asked for" "0x0 0x1000000 window
0x10000000 0x10001000 partial
0x10001000 0x10010000 hole
0x10010000 0x14000000 partial
0x14000000 0x17fff000 held
0x17fff000 0x18000000 partial
0x18000000 0x28000000 held
0x28000000 0x30000000 hole
0x30000000 0x38000000 save-area" "$(cat $HADUMP/regions)"
same "asked for is still held" $(((384 << 20) - 0xf000)) "$(cat $HADUMP/mem_held)"
same "and still there" 13fff000 "$(vmcore_word 0x13fff000)"
same "and not in Linux" "$before" "$(mem_total_kib)"
refused $REGION "0x13fff000 0x2000" "already in progress"
taken $REGION "0x14000000 0x3ffe000"
same "one frame is missing" "$before" "$(mem_total_kib)"
taken $REGION "0x17ffe000 0x1000"
sleep 1
fact "Linux has the block" between 128000 $(($(mem_total_kib) - before)) 131072
same "first held" "DUMP:0x30200000-0x1000000, 0x18000000-0x10000000:" "$(sed 's/.*: //;s/.*DUMP/DUMP/' $REGION)"
taken $REGION "0x18000000 0x10000000"
same "nothing but holes is left" 0 "$(cat $HADUMP/mem_held)"
taken $REGION "0x30000000 0x8000000"
sleep 1
# Without Xen a hole is memory like any other, so all four blocks count.
fact "all is back" between 516096 $(($(mem_total_kib) - before)) 524288
