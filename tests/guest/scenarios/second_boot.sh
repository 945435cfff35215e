# SPDX-License-Identifier: GPL-2.0-or-later
# The same dump again after another crash: what the first boot released is plain memory now.
load
same "regions" "0x0 0x1000000 window
0x10000000 0x18000000 released
0x18000000 0x30000000 held
0x30000000 0x38000000 save-area" "$(cat $HADUMP/regions)"
refused $REGION "0x10000000 0x1000" "Numerical result out of range"
same "held" $((384 << 20)) "$(cat $HADUMP/mem_held)"
taken $REGION "0x18000000 0x18000000"
taken $REGION "0x30000000 0x8000000"
fact "the dump is over" test ! -e $REGION
