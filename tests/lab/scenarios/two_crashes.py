# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests crash in the same second: neither waits for the other, and hadump answers meanwhile.

A third guest crashes alone before, for comparison by the times that hadumpd's own steps took.  An emulated
host has one processor, and most of a crash run is copying: two of them cost twice the processor's
time whatever order they go in.  So what is compared is the time beside that, which a hadumpd that
takes one after the other would need twice.

The third guest is destroyed first: it was created before the others, so its event channels have lower
numbers, and xenstored could get one of those for a guest that is rescued afterwards (docs/bugs.md).

Parameters: memory (MiB, of each guest), measure=1 (times decide, too: for a machine that is quiet).
"""

from dataclasses import dataclass
from typing import Any

from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.images import STANDARD_KERNEL
from hadump_lab.product import Agent, guest_overlay
from hadump_lab.rescue import SAVE_AREA_MIB
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAMES = ("left", "right")
# All pages are left out that can be: what is in the dumps is another scenario's.
SETTINGS = "FORMAT=kdump\nCOMPRESS=lzo\nDUMP_LEVEL=31\n"
MOST_OVER_ONE = 1.3
ANSWER_MS = 1000


@dataclass
class Rescued:
    """When hadumpd did what, in milliseconds since 1970, and the processor's time in all."""

    noticed: list[int]
    paused: list[float]
    started: list[int]
    cpu_ms: int

    def wall_ms(self) -> int:
        """From the first crash that was noticed to the last guest that was started."""
        return max(self.started) - min(self.noticed)


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=3 * memory + SAVE_AREA_MIB))
    agent = Agent(host)
    agent.install()
    agent.start()
    overlay = guest_overlay(STANDARD_KERNEL, SETTINGS)
    guests = [
        host.create_guest(GuestConfig(name, memory, vcpus=1, overlay=overlay))
        for name in ("alone", *NAMES)
    ]
    for guest in guests:
        guest.wait_for("HADUMP-LAB boot complete", 60, guest.wait_up(120).index)
    for name in ("alone", *NAMES):
        wait_until(
            lambda name=name: agent.status(name)["state"] == "registered", 20, f"{name} registers"
        )

    alone, _ = _crash_together(lab, agent, guests[:1])
    guests[0].destroy()
    both, slowest = _crash_together(lab, agent, guests[1:])
    lab.check(max(both.paused) < min(both.started), "each was at work on before one was started")
    more_cpu = both.cpu_ms - alone.cpu_ms
    ratio = (both.wall_ms() - more_cpu) / alone.wall_ms()
    lab.note(
        f"alone {alone.wall_ms()} ms, of which {alone.cpu_ms} ms of the processor; both "
        f"{both.wall_ms()} ms and {both.cpu_ms} ms: {both.wall_ms() / alone.wall_ms():.2f} times, "
        f"and {ratio:.2f} times without the processor's time for the second"
    )
    lab.report.update(alone=vars(alone), both=vars(both), ratio=ratio, slowest_answer_ms=slowest)
    if lab.number("measure", 0):
        lab.check(slowest <= ANSWER_MS, f"hadump list has always answered within {slowest} ms")
        lab.check(ratio <= MOST_OVER_ONE, f"both are back in {ratio:.2f} times the time of one")
    for guest in guests[1:]:
        done = guest.wait_for(r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)", 300)
        lab.check(done.match.group(1) == "0", f"the dump of {guest.config.name} is saved")
    lab.check(not agent.ended(), "hadumpd goes on")


def _crash_together(lab: Lab, agent: Agent, guests: list[Guest]) -> tuple[Rescued, int]:
    """Lets the agent see all of the crashes at once; returns its times and hadump's slowest answer."""
    names = [guest.config.name for guest in guests]
    agent.signal("STOP")
    marks = [guest.crash().index + 1 for guest in guests]
    for guest in guests:
        guest.wait_state("c")
    before = _cpu_ms(agent.host)
    agent.signal("CONT")
    answers = []

    def all_started() -> bool:
        answers.append(_answer_ms(agent.host))
        return all(_dump(agent, name).get("step") == "started" for name in names)

    wait_until(all_started, 120, f"{names} are started")
    cpu = _cpu_ms(agent.host) - before
    for guest, mark in zip(guests, marks):
        lab.check(guest.wait_up(120, mark), f"{guest.config.name} is back")
    dumps = [_dump(agent, name) for name in names]
    for name, dump in zip(names, dumps):
        lab.note(f"{name}: {dump['times_ms']}")
    rescued = Rescued(
        noticed=[dump["noticed_ms"] for dump in dumps],
        paused=[
            dump["noticed_ms"] + dump["times_ms"]["files"] + dump["times_ms"]["pause"]
            for dump in dumps
        ],
        started=[dump["started_ms"] for dump in dumps],
        cpu_ms=cpu,
    )
    lab.note(f"hadump list answered in {answers} ms")
    return rescued, max(answers)


def _dump(agent: Agent, name: str) -> dict[str, Any]:
    found: dict[str, Any] = agent.status(name).get("dump", {})
    return found


def _answer_ms(host: Host) -> int:
    """How long dom0 waits for hadump list, the program's own start included."""
    timed = "s=$(date +%s%N); hadump list >/dev/null && echo $((($(date +%s%N) - s) / 1000000))"
    return int(host.exec(timed).output)


def _cpu_ms(host: Host) -> int:
    """The processor's time of hadumpd, all of its threads included."""
    ticks = host.exec("awk '{print $14 + $15}' /proc/$(pidof hadumpd)/stat").output
    return int(ticks) * 10
