# SPDX-License-Identifier: GPL-2.0-or-later
# /proc/vmcore is mapped all the time by several processes while its memory is released: what was
# released is nowhere to be seen from then on.
load
race_vmcore /proc/vmcore 10000000 20000000 30000000 /tmp/stop /tmp/released > /tmp/seen &
racing=$!
sleep 3
for end in 0x18000000 0x20000000; do
  taken $REGION "$(printf '%#x' $((end - 0x8000000))) 0x8000000"
  dd if=/dev/null of=/tmp/released bs=1 seek=$((end)) 2> /dev/null
  sleep 2
done
touch /tmp/stop
fact "nobody has failed" wait $racing
cat /tmp/seen
# sum COLUMN: over the processes
sum() {
  awk -v column="$1" '{ n += $column } END { print n }' /tmp/seen
}
fact "the crashed system's memory was seen" test "$(sum 2)" -gt 0
fact "and was hidden" test "$(sum 4)" -gt 0
fact "and was taken away from a mapping" test "$(sum 6)" -gt 0
same "nothing else was seen" 0 "$(sum 8)"
same "no mapping was refused" 0 "$(sum 10)"
