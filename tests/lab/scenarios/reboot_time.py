# SPDX-License-Identifier: GPL-2.0-or-later
"""Panic to userspace, side by side in one run: hadump in its ways, xl's plain restart, coredump-restart.

The ways are hadump (in place), alias (captured while another domain runs) and copy (captured without
what is free, cache or of users, and then restarted).

Parameters: sizes=512,1024,2048,4096 (MiB), rounds=3, ways=hadump,alias,copy, coredump=1|0, window=256
(MiB).  Measures; asserts no time.
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
from hadump_lab.waiting import Seen, wait_until

SAVE_AREA_MIB = 640
COREDUMP_LIMIT_S = 300.0
# The dump is thrown away: what is measured is the way back to userspace.
CONFIG = """[default]
window = {window}M
capture-to = /scratch/dump/
max-crashes = 1000
[domain bench-alias]
on-crash = capture
capture-mode = alias
[domain bench-copy]
on-crash = capture
capture-mode = copy
"""
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
    ways = lab.parameters.get("ways", "hadump,alias,copy").split(",")
    window = lab.number("window", 256)
    held = max(sizes) if "alias" in ways else SAVE_AREA_MIB - 256 + window
    host = lab.host(HostConfig(guests_mib=max(sizes) + held, dom0_mib=2048))
    host.exec(
        "mkdir -m 700 -p /scratch/dump && rm -rf /var/lib/xen/dump"
        " && ln -s /scratch/dump /var/lib/xen/dump"
    )
    agent = Agent(host, config=CONFIG.format(window=window))
    agent.install()
    agent.start()
    outcomes: list[Outcome] = []
    for memory in sizes:
        for _ in range(lab.number("rounds", 3)):
            for mode in ("restart", *ways):
                outcomes.append(_measure(lab, host, agent, mode, memory))
        if lab.number("coredump", 1):
            outcomes.append(_measure(lab, host, agent, "coredump-restart", memory))
    _report(lab, sizes, ways, outcomes)


def _measure(lab: Lab, host: Host, agent: Agent, mode: str, memory: int) -> Outcome:
    overlay = guest_overlay(STANDARD_KERNEL)
    overlay.script("50-hadump-save", NO_SAVE)
    on_crash = mode if mode.endswith("restart") else "preserve"
    name = f"bench-{mode}" if mode in ("alias", "copy") else "bench"
    guest = host.create_guest(
        GuestConfig(name, memory, vcpus=2, on_crash=on_crash, overlay=overlay)
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
    if name != "bench":
        wait_until(lambda: _captured(agent, name), 200, "its memory is captured")
    _remove(host, guest)
    return Outcome(mode, memory, seconds, steps)


def _captured(agent: Agent, name: str) -> bool:
    return bool(agent.status(name)["captures"][-1]["state"] == "written")


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
    host.exec("rm -rf /scratch/dump/*", check=False)


def _report(lab: Lab, sizes: list[int], ways: list[str], outcomes: list[Outcome]) -> None:
    rows = []
    for memory in sizes:
        row: dict[str, object] = {"memory_mib": memory}
        for mode in ("restart", *ways, "coredump-restart"):
            times = [o.seconds for o in outcomes if (o.mode, o.memory_mib) == (mode, memory)]
            done = [seconds for seconds in times if seconds is not None]
            row[mode] = (
                round(statistics.median(done), 2) if done and len(done) == len(times) else None
            )
        for mode in ways:
            if row["restart"] and row[mode]:
                row[f"{mode}_ratio"] = round(row[mode] / row["restart"], 2)  # type: ignore[operator]
        for mode in ("restart", *ways):
            steps = [o.steps_ms for o in outcomes if (o.mode, o.memory_mib) == (mode, memory)]
            row[f"{mode}_steps_ms"] = {
                name: round(statistics.median(s.get(name, 0.0) for s in steps), 1)
                for name in steps[0]
            }
        rows.append(row)
        lab.note(str(row))
    lab.report = {"schema": "hadump-reboot-time-2", "rows": rows,
                  "runs": [vars(outcome) for outcome in outcomes]}  # fmt: skip
