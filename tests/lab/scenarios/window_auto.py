# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose boot takes more than the usual window comes back in one that is large enough.

Parameters: memory, load (MiB), takes (MiB, before the module loads), window (hadumpd's setting; with 256M
the second boot dies of lack of memory).
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "large"
# As a large initramfs does, but it stays.
TAKE = """mkdir -p /taken && mount -t tmpfs -o size=100%% taken /taken
dd if=/dev/zero of=/taken/file bs=1M count=%d 2>/dev/null
"""
LOOK = """[ -e /sys/kernel/release_region ] || exit 0
echo "in the window: $(grep MemTotal /proc/meminfo)" >/dev/console
"""


class _Large(Rescue):
    """Takes memory before its module is there to count it."""

    def overlay(self) -> Overlay:
        takes = self.lab.number("takes", 200)
        return super().overlay().script("00-a-take", TAKE % takes, early=True).script("40-look", LOOK)


def run(lab: Lab) -> None:
    memory = lab.number("memory", 1024)
    window = lab.parameters.get("window", "auto")
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host, config=f"[default]\nwindow = {window}\n")
    agent.install()
    agent.start()
    rescue = _Large(lab, agent, GuestConfig(NAME, memory))
    guest = rescue.guest
    wait_until(lambda: agent.status(NAME)["guest"]["state"] == "registered", 20, "it has registered")
    chosen = wait_until(lambda: _chosen(agent, window), 20, "hadumpd has chosen its window")
    lab.note(host.exec("hadump list; hadump status").output)
    measured = int(guest.exec("cat /sys/kernel/hadump/boot_memory")[1])
    lab.check(measured >> 10 >= lab.number("takes", 200), f"its boot took {measured} KiB")
    rescue.fill(lab.number("load", 60))

    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    looked = guest.wait_for(r"in the window: MemTotal: *(\d+)", 60, up.index)
    lab.note(looked.match.group(0))
    saved = rescue.wait_saved(up.index)
    rescue.compare(crash, rescue.dumps()[-1])
    dump = agent.status(NAME)["dump"]
    lab.check(dump["boots"] == 1, "in its first boot")
    lab.check(dump["window_bytes"] == chosen, f"in the window that was chosen: {chosen >> 20} MiB")

    # What a script measures at the end of a boot counts, if it is more.
    guest.exec("umount /taken; /usr/lib/hadump/hadump-boot-memory now")
    lab.check(int(guest.exec("cat /sys/kernel/hadump/boot_memory")[1]) >= measured * 9 // 10, "it keeps the larger")
    guest.exec("echo $((450 << 10)) >/sys/kernel/hadump/boot_memory")
    wait_until(lambda: _bytes(agent) == 768 << 20, 20, "the next window is larger")
    agent.log.wait_for("window 768 MiB from now on", 5, crash.agent_mark)
    status, said = guest.exec("echo $((1 << 40)) >/sys/kernel/hadump/boot_memory || echo refused")
    lab.check("refused" in said, f"more than there is is refused: {status}")
    lab.check(saved.index > up.index, "the dump was saved by the service")


def _bytes(agent: Agent) -> int:
    window: dict[str, int] = agent.status(NAME)["window"]
    return window["bytes"]


def _chosen(agent: Agent, window: str) -> int | None:
    """By what was measured; the one of the first seconds was by the initrd's size."""
    found = agent.status(NAME)["window"]
    if window == "auto" and "its boot took" not in found["why"]:
        return None
    return int(found["bytes"])
