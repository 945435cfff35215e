# SPDX-License-Identifier: GPL-2.0-or-later
"""A second crash: after the first dump is complete, and while a dump is being saved.

Parameters: memory, maxmem (MiB; the balloon has left holes then), load (MiB).
"""

from typing import Any

from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue, checksum
from hadump_lab.scenario import Lab

# Crashes by itself when a block has been given back for good. The saver stands still from then on, or
# it could be through before the crash.
CRASH_WHILE_SAVING = """setsid sh -c '
until grep -q " released$" /sys/kernel/hadump/regions; do :; done
killall -STOP release-region
cat /sys/kernel/hadump/regions >/dev/console
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger' </dev/null >/dev/null 2>&1 &"""


def run(lab: Lab) -> None:
    memory = lab.number("memory", 1280)
    maxmem = lab.number("maxmem", 0) or None
    host = lab.host(HostConfig(guests_mib=(maxmem or memory) + SAVE_AREA_MIB))
    agent = Agent(host, config="[default]\nmax-crashes = 100\n")
    agent.install()
    agent.start()
    rescue = Rescue(lab, agent, GuestConfig("again", memory, maxmem_mib=maxmem))
    rescue.fill(lab.number("load", 60))

    first = rescue.dump_of(rescue.crash())
    first_id = _dump(agent)["dump_id"]
    kept = checksum(rescue.guest, first)

    _crash_while_saving(lab, agent, rescue, first)
    lab.check(_dump(agent)["dump_id"] != first_id, "the second crash has a dump of its own")
    lab.check(checksum(rescue.guest, first) == kept, "the first dump is as it was")


def _crash_while_saving(lab: Lab, agent: Agent, rescue: Rescue, earlier: str) -> None:
    guest = rescue.guest
    rescue.fill(lab.number("load", 60))
    crash = rescue.crash()
    up = rescue.wait_back(crash.mark)
    guest.exec(CRASH_WHILE_SAVING)
    waiting = _dump(agent)
    panic = guest.wait_for("Kernel panic - not syncing", 120, up.index)
    saved = guest.log.find(r"HADUMP-LAB done \S*hadump-save", up.index)
    lab.check(saved is None, "it crashed again while the dump was being saved")

    up = rescue.wait_back(panic.index)
    again = _dump(agent)
    lab.check(again["dump_id"] == waiting["dump_id"], "the same dump waits again")
    lab.check(again["boots"] == 2, "in its second boot")
    lab.check(0 < again["released_bytes"] < again["held_bytes"], "a part of it was given back")
    rescue.wait_saved(up.index)
    dumps = rescue.dumps()
    lab.check(dumps[:-1] == [earlier], f"one dump more: {dumps}")
    rescue.compare(crash, dumps[-1])


def _dump(agent: Agent) -> dict[str, Any]:
    found: dict[str, Any] = agent.status("again")["dump"]
    return found
