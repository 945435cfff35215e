# SPDX-License-Identifier: GPL-2.0-or-later
# An ordinary boot: nothing waits, and the module comes and goes.
insmod /hadump.ko
fact "no file" test ! -e $REGION
same "nothing is held" 0 "$(cat $HADUMP/mem_held)"
same "no name" "" "$(cat $HADUMP/dump_id)"
same "no regions" "" "$(cat $HADUMP/regions)"
same "no node" 0 "$(wc -c < $HADUMP/node)"
same "not registered without xenstore" 0 "$(cat $HADUMP/registered)"
refused $HADUMP/release_mem 1 "not permitted"
refused $HADUMP/registered 1 "No such device"
fact "it can be unloaded" rmmod hadump
fact "nothing stays behind" test ! -e $HADUMP
