# SPDX-License-Identifier: GPL-2.0-or-later
# The save area is the guest's own memory and cuts two blocks, [0x28000000, 0x30000000) and
# [0x30000000, 0x38000000). It comes back last, and those blocks with it.
before=$(mem_total_kib)
load
cat $HADUMP/regions
same "held" $((512 << 20)) "$(cat $HADUMP/mem_held)"
same "regions" "0x0 0x1000000 window
0x10000000 0x2e000000 held
0x2e000000 0x36000000 save-area
0x36000000 0x38000000 held" "$(cat $HADUMP/regions)"
taken $REGION "0x10000000 0x1e000000"
refused $REGION "0x2e000000 0x8000000" "busy"
taken $REGION "0x36000000 0x2000000"
same "what shares blocks with the save area is still held" $((128 << 20)) "$(cat $HADUMP/mem_held)"
sleep 1
fact "whole blocks are back" between 392000 $(($(mem_total_kib) - before)) 393216
taken $REGION "0x2e000000 0x8000000"
fact "the dump is over" test ! -e $REGION
sleep 1
fact "all is back" between 654000 $(($(mem_total_kib) - before)) 655360
