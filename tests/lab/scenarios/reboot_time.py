# SPDX-License-Identifier: GPL-2.0-or-later
"""Panic to userspace, side by side in one run: hadump, xl's plain restart, xl's coredump-restart.

Parameters: sizes=512,1024,2048,4096 (MiB), rounds=3, coredump=1|0.  Measures; asserts no time.
"""

import statistics
import time
from dataclasses import dataclass

from hadump_lab.errors import DeadlineExceeded
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.images import STANDARD_KERNEL
from hadump_lab.product import Agent, guest_overlay
from hadump_lab.scenario import Lab
from hadump_lab.waiting import Seen

SAVE_AREA_MIB = 640
COREDUMP_LIMIT_S = 300.0
# The dump is thrown away: what is measured is the way back to userspace.
NO_SAVE = "echo 1 >/sys/kernel/hadump/release_mem 2>/dev/null || true\n"


@dataclass
class Outcome:
    """One crash."""

    mode: str
    memory_mib: int
    seconds: float | None  # None: not back within the limit.
    steps_ms: dict[str, float]


def run(lab: Lab) -> None:
    sizes = [int(size) for size in lab.parameters.get("sizes", "512,1024,2048,4096").split(",")]
    host = lab.host(HostConfig(guests_mib=max(sizes) + SAVE_AREA_MIB, dom0_mib=2048))
    host.exec(
        "mkdir -p /scratch/dump && rm -rf /var/lib/xen/dump"
        " && ln -s /scratch/dump /var/lib/xen/dump"
    )
    agent = Agent(host)
    agent.install()
    agent.start()
    outcomes: list[Outcome] = []
    for memory in sizes:
        for _ in range(lab.number("rounds", 3)):
            for mode in ("restart", "hadump"):
                outcomes.append(_measure(lab, host, agent, mode, memory))
        if lab.number("coredump", 1):
            outcomes.append(_measure(lab, host, agent, "coredump-restart", memory))
    _report(lab, sizes, outcomes)


def _measure(lab: Lab, host: Host, agent: Agent, mode: str, memory: int) -> Outcome:
    overlay = guest_overlay(STANDARD_KERNEL)
    overlay.script("50-hadump-save", NO_SAVE)
    on_crash = "preserve" if mode == "hadump" else mode
    guest = host.create_guest(
        GuestConfig("bench", memory, vcpus=2, on_crash=on_crash, overlay=overlay)
    )
    guest.wait_up(90)
    guest.wait_for("HADUMP-LAB boot complete", 60)
    time.sleep(2)  # hadumpd prepares a new domain; that is not on the way back.
    agent_mark = agent.log.mark()
    panic = guest.crash()
    seconds, steps = None, {}
    try:
        limit = COREDUMP_LIMIT_S / 3 if mode == "coredump-restart" else 120
        up = guest.wait_up(limit, panic.index)  # The lab multiplies deadlines by three.
        seconds = round(up.time - panic.time, 2)
        steps = _around(guest, panic, up)
        if mode == "hadump":
            steps |= _agent_steps(agent, panic, up, agent_mark)
    except DeadlineExceeded:
        if mode != "coredump-restart":
            raise
    lab.note(f"{memory} MiB, {mode}: " + (f"{seconds} s" if seconds else "stopped after 5 minutes"))
    _remove(host, guest)
    return Outcome(mode, memory, seconds, steps)


def _around(guest: Guest, panic: Seen, up: Seen) -> dict[str, float]:
    """What every way has: until the kernel has started /init, and from there to userspace."""
    init = guest.log.find("Run /init as init process", panic.index)
    if init is None:
        return {}
    return {"panic to init": _ms(init.time - panic.time), "init to userspace": _ms(up.time - init.time)}


def _agent_steps(agent: Agent, panic: Seen, up: Seen, since: int) -> dict[str, float]:
    """The agent's part, step by step, and what is before and after it."""
    crashed = agent.log.find(r"\(bench\): crashed", since)
    started = agent.log.find(r"\(bench\): started again", since)
    if crashed is None or started is None:
        return {}
    return {
        "noticed": _ms(crashed.time - panic.time),
        **agent.status("bench")["dump"]["times_ms"],
        "agent, all": _ms(started.time - crashed.time),
        "kernel and userspace": _ms(up.time - started.time),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _remove(host: Host, guest: Guest) -> None:
    """Ends the guest and whatever xl still does for it."""
    host.exec("pkill -x xl; true", check=False)
    guest.forget()
    host.exec("rm -f /scratch/dump/*", check=False)


def _report(lab: Lab, sizes: list[int], outcomes: list[Outcome]) -> None:
    rows = []
    for memory in sizes:
        row: dict[str, object] = {"memory_mib": memory}
        for mode in ("restart", "hadump", "coredump-restart"):
            times = [o.seconds for o in outcomes if (o.mode, o.memory_mib) == (mode, memory)]
            done = [seconds for seconds in times if seconds is not None]
            row[mode] = (
                round(statistics.median(done), 2) if done and len(done) == len(times) else None
            )
        if row["restart"] and row["hadump"]:
            row["ratio"] = round(row["hadump"] / row["restart"], 2)  # type: ignore[operator]
        for mode in ("restart", "hadump"):
            steps = [o.steps_ms for o in outcomes if (o.mode, o.memory_mib) == (mode, memory)]
            row[f"{mode}_steps_ms"] = {
                name: round(statistics.median(s.get(name, 0.0) for s in steps), 1)
                for name in steps[0]
            }
        rows.append(row)
        lab.note(str(row))
    lab.report = {"schema": "hadump-reboot-time-1", "rows": rows,
                  "runs": [vars(outcome) for outcome in outcomes]}  # fmt: skip
