# SPDX-License-Identifier: GPL-2.0-or-later
# Mappings of /proc/vmcore from before a release: what was released is gone from them, in a child and
# by way of another /proc, too; what is still held stays.
load
mkdir -p /proc2 /mnt
mount -t proc proc /proc2
mkfifo /tmp/go1 /tmp/go2
map_vmcore /proc/vmcore 3000 10000000 18000000 1ffff000 20000000 < /tmp/go1 > /tmp/seen1 &
first=$!
map_vmcore /proc2/vmcore 18000000 20000000 < /tmp/go2 > /tmp/seen2 &
second=$!
exec 3> /tmp/go1 4> /tmp/go2
for n in 1 2; do
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    grep -q ready /tmp/seen$n && break
    sleep 1
  done
done
same "all is there before" "before 3000 3000
before 10000000 10000000
before 18000000 18000000
before 1ffff000 1ffff000
before 20000000 20000000
ready" "$(cat /tmp/seen1)"

taken $REGION "0x18000000 0x8000000"
mount -t tmpfs -o size=300m tmp /mnt
dd if=/dev/zero of=/mnt/fill bs=1M count=100 2> /dev/null
echo >&3
wait $first
same "what was released is gone, and nothing else" "parent 3000 3000
parent 10000000 10000000
parent 18000000 SIGBUS
parent 1ffff000 SIGBUS
parent 20000000 20000000
child 3000 3000
child 10000000 10000000
child 18000000 SIGBUS
child 1ffff000 SIGBUS
child 20000000 20000000" "$(sed 1,6d /tmp/seen1)"
echo >&4
wait $second
same "by another /proc, too" "parent 18000000 SIGBUS
parent 20000000 20000000
child 18000000 SIGBUS
child 20000000 20000000" "$(sed 1,3d /tmp/seen2)"

map_vmcore /proc/vmcore 3000 18000000 < /tmp/go1 > /tmp/seen1 &
first=$!
exec 3> /tmp/go1
for _ in 1 2 3 4 5 6 7 8 9 10; do
  grep -q ready /tmp/seen1 && break
  sleep 1
done
taken $HADUMP/release_mem 1
echo >&3
wait $first
same "a new mapping had zeros; with the save area low memory goes" "before 3000 3000
before 18000000 0
ready
parent 3000 SIGBUS
parent 18000000 SIGBUS
child 3000 SIGBUS
child 18000000 SIGBUS" "$(cat /tmp/seen1)"
