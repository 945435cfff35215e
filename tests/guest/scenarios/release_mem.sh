# SPDX-License-Identifier: GPL-2.0-or-later
# The admin does not want the dump: everything is given back at once, and the module stays.
before=$(mem_total_kib)
load
taken $REGION "0x10000000 0x1000"
taken $HADUMP/release_mem 1
fact "the file is gone" test ! -e $REGION
same "nothing is held" 0 "$(cat $HADUMP/mem_held)"
same "no name" "" "$(cat $HADUMP/dump_id)"
same "no node" 0 "$(wc -c < $HADUMP/node)"
same "old memory is hidden" 0 "$(vmcore_word 0x10000000)"
same "low memory is hidden" 0 "$(vmcore_word 0x0)"
refused $HADUMP/release_mem 1 "not permitted"
sleep 1
fact "all is back" between 516096 $(($(mem_total_kib) - before)) 524288
fact "the module stays, to hide what was released" test -n "$(rmmod hadump 2>&1)"
