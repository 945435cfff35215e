# SPDX-License-Identifier: GPL-2.0-or-later
# Every refusal has its own errno and changes nothing.
load
first=$(cat $REGION $HADUMP/regions $HADUMP/mem_held)
for text in "0x10000000" "0x10000000 " " 0x10000000 0x1000" "0x10000000  0x1000" "0x10000000 0x1000 " \
    "0x10000000	0x1000" "10000000-0x1000" "0x10000000 0x1000 0x1000" "-0x10000000 0x1000" \
    "0x10000000 +0x1000" "0xg0000000 0x1000" "x 0x1000" "0x10000000 0x1000
0x10001000 0x1000" "0x10000000 0" "0xfffffffffffff000 0x2000" "0x11111111111111111 0x1000" \
    "0x 0x1000" "0x10000000 0x"; do
  refused $REGION "$text" "Invalid argument"
done
refused $REGION "0x10000001 0x1000" "Bad address"
refused $REGION "0x10000000 0x800" "Bad address"
refused $REGION "0x0 0x1000" "Numerical result out of range"
refused $REGION "0xffff000 0x2000" "Numerical result out of range"
refused $REGION "0x2ffff000 0x2000" "Numerical result out of range"
refused $REGION "0x38000000 0x1000" "Numerical result out of range"
refused $REGION "0x30000000 0x1000" "Numerical result out of range"
refused $REGION "0x30000000 0x8001000" "Numerical result out of range"
refused $REGION "0x30000000 0x8000000" "busy"
refused $HADUMP/release_mem "0" "Invalid argument"
refused $HADUMP/release_mem "11" "Invalid argument"
refused $HADUMP/registered "1" "busy"
refused $HADUMP/registered "2" "Invalid argument"
refused $HADUMP/progress "a	tab" "Invalid argument"
refused $HADUMP/progress "$(printf '%0201d' 0)" "Invalid argument"
same "nothing has changed" "$first" "$(cat $REGION $HADUMP/regions $HADUMP/mem_held)"
same "held memory is not touched" 10000000 "$(vmcore_word 0x10000000)"

taken $REGION "0x10000000 0x1000"
refused $REGION "0x10000000 0x1000" "already in progress"
refused $REGION "0x10000000 0x8000000" "already in progress"
taken $HADUMP/progress "$(printf '%0200d' 7)"
same "progress is kept" "$(printf '%0200d' 7)" "$(cat $HADUMP/progress)"

for file in enabled:444 refusal:444 registered:644 mem_held:444 release_mem:200 regions:400 dump_id:444 node:400 \
    progress:600; do
  same "mode of ${file%:*}" "${file#*:}" "$(stat -c %a $HADUMP/${file%:*})"
done
same "mode of release_region" 600 "$(stat -c %a $REGION)"
same "enabled" 1 "$(cat $HADUMP/enabled)"
same "no reason against it" "" "$(cat $HADUMP/refusal)"
same "registered" 0 "$(cat $HADUMP/registered)"
fact "the node can be read" test "$(head -c 4 $HADUMP/node | od -An -tx1)" = " d0 0d fe ed"
same "unloading is refused" "rmmod: can't unload module 'hadump': Resource temporarily unavailable" \
  "$(rmmod hadump 2>&1)"
