# SPDX-License-Identifier: GPL-2.0-or-later
"""What libxl starts for a domain that hadumpd creates again is as it is when xl creates it.

A guest whose disk a QEMU in dom0 serves is rescued and reboots twice. There is one QEMU at a time; it
is not protected from signals and from the OOM killer as hadumpd is, and lives in dom0's namespaces.

Parameters: memory (MiB).
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "served"


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host)
    agent.install()
    agent.start()
    config = GuestConfig(NAME, memory, vcpus=1, qdisk=True, on_reboot="restart")
    rescue = Rescue(lab, agent, config)
    guest = rescue.guest
    first = _qemus(host)
    lab.check(len(first) == 1, f"a QEMU serves its disk: {first}")
    mark = guest.mark()
    host.exec(f"hadump trigger {NAME}")
    up = rescue.wait_back(mark)
    lab.check(_qemus(host) == first, "and still does after a crash")
    rescue.wait_saved(up.index)
    before = first
    for reboot in ("first", "second"):
        mark = guest.mark()
        guest.exec("(sleep 1; reboot -f) </dev/null >/dev/null 2>&1 &")
        up = guest.wait_up(120, mark)
        guest.wait_for("HADUMP-LAB boot complete", 60, up.index)
        wait_until(lambda: len(_qemus(host)) == 1, 20, lambda: f"one QEMU is left: {_qemus(host)}")
        now = _qemus(host)
        lab.check(now != before, f"the {reboot} reboot: another QEMU, and one")
        _check_clean(lab, host, now[0])
        before = now
    host.exec(f"xl destroy {NAME}", timeout=60)
    guest.forget()
    wait_until(lambda: not _qemus(host), 20, "none is left when the domain is gone")
    lab.check(not agent.ended(), "hadumpd runs on")


def _qemus(host: Host) -> list[str]:
    return sorted(host.exec("pidof xen-qemu-system-i386", check=False).output.split())


def _check_clean(lab: Lab, host: Host, pid: str) -> None:
    shown = host.exec(f"grep -E '^Sig(Blk|Ign):' /proc/{pid}/status").output
    signals = {line[:6]: int(line.split()[1], 16) for line in shown.splitlines()}
    # SIGHUP, SIGINT and SIGTERM, by which libxl ends it; QEMU itself ignores SIGPIPE.
    ends = 1 << 0 | 1 << 1 | 1 << 14
    lab.check(signals["SigBlk"] & ends == 0, f"no signal that ends it is blocked: {signals}")
    lab.check(signals["SigIgn"] & ends == 0, "or ignored")
    score = host.exec(f"cat /proc/{pid}/oom_score_adj").output.strip()
    lab.check(score == "0", f"the OOM killer may take it: {score}")
    for space in ("mnt", "net"):
        where = host.exec(f"readlink /proc/{pid}/ns/{space} /proc/1/ns/{space}").output.split()
        lab.check(len(set(where)) == 1, f"its {space} namespace is dom0's: {where}")
