# SPDX-License-Identifier: GPL-2.0-or-later
# A listing that is longer than a page, which is as much as one read() gets: two readers and a release
# in between. Each gets one listing, not pieces of two.
load
before=$(cat $HADUMP/regions)
fact "more than a page" test ${#before} -gt 4096
exec 3< $HADUMP/regions
dd bs=4096 count=1 <&3 > /tmp/first 2> /dev/null
taken $REGION "0x10000000 0x8000000"
after=$(cat $HADUMP/regions)
fact "the second reader sees the release" test "$before" != "$after"
cat <&3 >> /tmp/first
same "the first one does not" "$before" "$(cat /tmp/first)"
exec 3< $HADUMP/regions
same "a new one does" "$after" "$(cat <&3)"

# Too many at once: the one that was there first has to begin again, and is told so.
exec 3< $HADUMP/regions
dd bs=4096 count=1 <&3 > /tmp/first 2> /dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
  (dd bs=4096 count=1 > /dev/null 2>&1; echo >> /tmp/begun; sleep 20) < $HADUMP/regions &
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  [ "$(wc -l < /tmp/begun)" = 16 ] && break
  sleep 1
done
same "a listing that is not kept any more" "cat: read error: Resource temporarily unavailable" \
  "$(cat <&3 2>&1)"
