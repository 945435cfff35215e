# SPDX-License-Identifier: GPL-2.0-or-later
# is_kdump_kernel() makes drivers small: blk-mq uses one queue of depth 64. With a dump it is false
# once the module is there, and /proc/vmcore goes on working.
case $(cat /proc/cmdline) in
  *without_module*) ;;
  *) load ;;
esac
modprobe virtio_pci
modprobe virtio_blk
sleep 1
echo "QUEUES $(ls /sys/block/vda/mq | wc -l) DEPTH $(cat /sys/block/vda/queue/nr_requests)"
same "vmcore" 18000000 "$(vmcore_word 0x18000000)"
same "vmcore's low memory" 7000 "$(vmcore_word 0x7000)"
