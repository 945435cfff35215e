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
fact "the boot's memory is measured" test "$(cat $HADUMP/boot_memory)" -gt 4096
echo 20480 > $HADUMP/boot_memory
same "the scripts measure again" 20480 "$(cat $HADUMP/boot_memory)"
refused $HADUMP/boot_memory -1 "Invalid argument"
refused $HADUMP/boot_memory 1099511627776 "Invalid argument"
same "nonsense changes nothing" 20480 "$(cat $HADUMP/boot_memory)"
fact "it can be unloaded" rmmod hadump
fact "nothing stays behind" test ! -e $HADUMP
