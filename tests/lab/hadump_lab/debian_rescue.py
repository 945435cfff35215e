# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Debian guest that hadumpd looks after: its systemd boots and saves."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .debian import CMDLINE, DebianGuest, Installed, installed_root
from .errors import CheckFailed
from .guest import Guest, GuestConfig
from .host import Host, HostConfig
from .images import CLOUD_KERNEL
from .packages import Archive
from .product import Agent
from .rescue import SAVE_AREA_MIB, Rescue
from .waiting import Seen

if TYPE_CHECKING:
    from .scenario import Lab

# What a driver could have made smaller because it took the boot for a capture kernel's.
QUEUES = (
    "for q in /sys/block/xvda/mq/* /sys/class/net/e*/queues/*; do echo ${q##*/}; done | sort;"
    " cat /sys/block/xvda/queue/nr_requests"
)
ZERO_PAGES_TOO = "sed -i s/^DUMP_LEVEL=.*/DUMP_LEVEL=0/ /etc/hadump/release-region.conf"


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

    def __init__(self, lab: "Lab", agent: Agent, config: GuestConfig, installed: Installed) -> None:
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

    def verify(self, path: str) -> None:
        """Our own reader finds it whole."""
        status, text = self.guest.exec(f"release-region verify {path}", timeout=300, check=False)
        self.lab.note(text.strip())
        self.lab.check(status == 0, "the dump is complete, says release-region verify")


def _check_readable(lines: str) -> None:
    """Whoever reads the journal learns where the dump is, and meets no terminal's control codes."""
    told = all(text in lines for text in ("release-region: the dump is in /var/crash/", "saving "))
    if not told or re.search(r"[^\x20-\x7e\n]", lines):
        raise CheckFailed(f"the journal has no readable lines: {lines!r}")


def start(
    lab: "Lab",
    prepare: str = "true",
    packages: Iterable[str] = (),
    programs: Iterable[Path] = (),
    policy: str = "max-crashes = 100",
) -> DebianRescue:
    """The guest with the scenario's parameters on a new host; see installed_root() for the others.

    `prepare`: a command in dom0, before the guest is there. `policy`: hadumpd's, for all domains.
    """
    memory = lab.number("memory", 1024)
    kernel = lab.parameters.get("kernel", CLOUD_KERNEL)
    installed = installed_root(Archive(), lab.program("lab-load"), kernel, packages, programs)
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    host.exec(prepare)
    agent = Agent(host, config=f"[default]\n{policy}\n")
    agent.install()
    agent.start()
    config = GuestConfig(
        "debian", memory, vcpus=lab.number("vcpus", 2), disk_gib=0, cmdline=CMDLINE, shipped=True,
        extra='disk=["phy:/dev/lab/disk0,xvda,w"]',
    )  # fmt: skip
    return DebianRescue(lab, agent, config, installed)
