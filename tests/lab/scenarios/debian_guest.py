# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Debian guest: systemd, its own initramfs, the product as "cmake --install" leaves it.

Parameters: memory (MiB), vcpus, load (MiB), initramfs=initramfs-tools|dracut, crashes=2|1 (the second
dump is saved by the init.d script), kernel (a package; the cloud flavour has a quarter of the
standard one's modules, and indexing them takes time under emulation).
"""

import re
from dataclasses import dataclass

from hadump_lab.debian import CMDLINE, DebianGuest, Installed, installed_root
from hadump_lab.errors import CheckFailed
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.images import CLOUD_KERNEL
from hadump_lab.packages import Archive
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import Seen

# What a driver could have made smaller because it took the boot for a capture kernel's.
QUEUES = (
    "for q in /sys/block/xvda/mq/* /sys/class/net/e*/queues/*; do echo ${q##*/}; done | sort;"
    " cat /sys/block/xvda/queue/nr_requests"
)
# dom0 has one CPU here, and its backends would offer one queue: nothing to lose.
OFFER_QUEUES = (
    "for m in blkback netback; do echo 4 >/sys/module/xen_$m/parameters/max_queues; done"
)
ZERO_PAGES_TOO = "sed -i s/^DUMP_LEVEL=.*/DUMP_LEVEL=0/ /etc/hadump/release-region.conf"
INIT_SCRIPT = "/etc/init.d/hadump-save"


@dataclass(frozen=True)
class Boot:
    """What a finished boot looks like from inside."""

    state: str  # Of "systemctl is-system-running".
    failed: str
    queues: str
    loaded: str  # The module's and the root file system's first lines in the kernel log.


class DebianRescue(Rescue):
    """The Debian guest, and its systemd instead of the lab's own boot."""

    settles_within = 200

    def __init__(self, lab: Lab, agent: Agent, config: GuestConfig, installed: Installed) -> None:
        self.installed = installed
        super().__init__(lab, agent, config)

    def create(self, config: GuestConfig) -> Guest:
        """With the initramfs that the parameter names."""

        def make(host: Host, config: GuestConfig, slot: int) -> Guest:
            guest = DebianGuest(host, config, slot, self.installed)
            if self.lab.parameters.get("initramfs") == "dracut":
                guest.initrd = self.installed.dracut
            return guest

        return self.agent.host.create_guest(config, make)

    def boot(self, since: int) -> Boot:
        """Waits for the end of the boot."""
        end = self.guest.wait_for(r"HADUMP-LAB boot complete state=(\S+) uptime=(\S+)", 200, since)
        self.lab.note(end.match.group(0))
        text = self.guest.exec(
            f"systemctl list-units --failed --plain --no-legend; echo --; {QUEUES}; echo --;"
            " journalctl -k -b -o short-monotonic --no-hostname | grep -E 'hadump: |EXT4-fs .xvda'"
        )[1]
        failed, queues, loaded = (part.strip() for part in text.split("--\n"))
        return Boot(end.match.group(1), failed, queues, loaded)

    def wait_saved(self, since: int) -> Seen:
        """Waits for the end of the systemd unit, and checks that the system is whole again."""
        shown = self.guest.exec(
            "while systemctl -q is-active hadump-save; do sleep 2; done;"
            " systemctl show hadump-save -p Result,ExecMainStatus,ConditionResult;"
            " journalctl -u hadump-save -b --no-pager -o short-monotonic --no-hostname",
            timeout=600,
        )[1]
        facts, lines = shown.split("\n", 3)[:3], shown.split("\n", 3)[3]
        self.lab.note(lines)
        self.lab.check(
            sorted(facts) == ["ConditionResult=yes", "ExecMainStatus=0", "Result=success"],
            "the systemd unit has saved the dump",
        )
        _check_readable(lines)
        self.check_whole()
        return self.guest.wait_for("HADUMP-LAB boot complete", 1, since)

    def check_whole(self) -> None:
        """All memory is back and online, and the guest is registered again."""
        total, held, registered, states = self.guest.exec(
            "awk '/^MemTotal/{print $2}' /proc/meminfo; cd /sys/kernel/hadump;"
            " cat mem_held registered; sort -u /sys/devices/system/memory/*/state | xargs"
        )[1].splitlines()
        had = int(self.before.match.group(2))
        self.lab.check(
            abs(int(total) - had) * 100 <= had and held == "0",
            f"MemTotal is back: {had} KiB before, {total} KiB now, {held} bytes held",
        )
        self.lab.check(states == "online", "every memory block is online")
        self.lab.check(registered == "1", "the guest is registered again")


def run(lab: Lab) -> None:
    memory = lab.number("memory", 1024)
    kernel = lab.parameters.get("kernel", CLOUD_KERNEL)
    installed = installed_root(Archive(), lab.program("lab-load"), kernel)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    host.exec(OFFER_QUEUES)
    agent = Agent(host, config="[default]\nmax-crashes = 100\n")
    agent.install()
    agent.start()
    config = GuestConfig(
        "debian", memory, vcpus=lab.number("vcpus", 2), disk_gib=0, cmdline=CMDLINE, shipped=True,
        extra='disk=["phy:/dev/lab/disk0,xvda,w"]',
    )  # fmt: skip
    rescue = DebianRescue(lab, agent, config, installed)
    normal = rescue.boot(rescue.before.index)
    _check_normal_boot(lab, rescue, normal)
    _saved_by_systemd(lab, rescue, normal)
    if lab.number("crashes", 2) > 1:
        _saved_by_init_script(lab, rescue)


def _check_normal_boot(lab: Lab, rescue: DebianRescue, normal: Boot) -> None:
    lab.check(normal.state == "running", f"systemd's state is {normal.state}; {normal.failed}")
    status, text = rescue.guest.exec(
        f"cat /sys/kernel/hadump/registered; systemctl is-enabled hadump-save;"
        f" systemctl show -P ConditionResult hadump-save; {INIT_SCRIPT} start; {INIT_SCRIPT} status",
        check=False,
    )
    lab.check(text.split("\n")[:2] == ["1", "enabled"], "registered, and the unit is enabled")
    lab.check(text.split("\n")[2] == "no", "without a dump the unit does nothing")
    lab.check(
        text.split("\n")[3:] == ["not running", ""] and status == 3, "nor does the init script"
    )
    rescue.guest.exec(ZERO_PAGES_TOO)


def _saved_by_systemd(lab: Lab, rescue: DebianRescue, normal: Boot) -> None:
    rescue.fill(lab.number("load", 128))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    lab.note(up.match.group(0))
    boot = rescue.boot(up.index)
    lab.check(boot.state == "running", f"systemd's state is {boot.state}; {boot.failed}")
    _check_first_module(lab, boot)
    lab.check(boot.queues == normal.queues, f"queues as before: {boot.queues.split()}")
    rescue.wait_saved(up.index)
    (path,) = rescue.dumps()
    _verify(lab, rescue, path)
    rescue.compare(crash, path)
    lab.check("0% packet loss" in rescue.guest.exec("ping -c 2 10.99.0.1")[1], "the network is back")


def _saved_by_init_script(lab: Lab, rescue: DebianRescue) -> None:
    guest = rescue.guest
    guest.exec("systemctl disable hadump-save")
    rescue.fill(lab.number("load", 128))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    rescue.boot(up.index)
    held = guest.exec("cat /sys/kernel/hadump/mem_held")[1]
    lab.check(int(held) > 0, "a dump waits, and nobody saves it")
    text = guest.exec(
        f"{INIT_SCRIPT} start; {INIT_SCRIPT} status; {INIT_SCRIPT} start;"
        f" {INIT_SCRIPT} stop; {INIT_SCRIPT} status",
        timeout=120, check=False,
    )[1]  # fmt: skip
    lab.note(text)
    said = ["saving the crashed", "running", "hadump-save is already running", "not running"]
    lab.check(
        all(line.startswith(word) for line, word in zip(text.splitlines(), said, strict=True)),
        "the init script starts, knows that it runs, and stops",
    )
    log = guest.exec(
        f"{INIT_SCRIPT} start; while {INIT_SCRIPT} status >/dev/null; do sleep 2; done;"
        " cat /var/log/hadump-save.log",
        timeout=600,
    )[1]
    lab.note(log)
    rescue.check_whole()
    path = rescue.dumps()[-1]
    _verify(lab, rescue, path)
    rescue.compare(crash, path)


def _check_first_module(lab: Lab, boot: Boot) -> None:
    """hadump.ko must be there before any driver, so before the root file system's disk."""
    lines = boot.loaded.splitlines()
    lab.note(boot.loaded)
    first = next((i for i, line in enumerate(lines) if "a dump waits" in line), None)
    disk = next((i for i, line in enumerate(lines) if "EXT4-fs" in line), None)
    lab.check(
        first is not None and disk is not None and first < disk,
        "the initramfs loaded the module before the root was mounted",
    )


def _check_readable(lines: str) -> None:
    """Whoever reads the journal learns where the dump is, and meets no terminal's control codes."""
    told = all(text in lines for text in ("release-region: the dump is in /var/crash/", "saving "))
    if not told or re.search(r"[^\x20-\x7e\n]", lines):
        raise CheckFailed(f"the journal has no readable lines: {lines!r}")


def _verify(lab: Lab, rescue: DebianRescue, path: str) -> None:
    status, text = rescue.guest.exec(f"release-region verify {path}", timeout=300, check=False)
    lab.note(text.strip())
    lab.check(status == 0, "the dump is complete, says release-region verify")
