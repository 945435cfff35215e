# SPDX-License-Identifier: GPL-2.0-or-later
"""hadumpd is killed after named steps and started again: the guest comes back with a true dump.

One crash, and each start is killed after the next step. With each=1: a crash for every step, and
only one kill.

Parameters: steps=A,B,… (default: all), each=1, memory (MiB), load (MiB), vcpus.
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Rescue
from hadump_lab.scenario import Lab

STEPS = [
    "paused", "vcpus-saved", "memory-added", "low-copied", "snapshot-complete",
    "backends-disconnected", "reset", "loaded", "reconnected", "vcpus-set", "started", "done",
]  # fmt: skip
SIGKILL_STATUS = 128 + 9
SAVE_SECONDS = 600  # "done" comes when the guest has saved its dump; all others within a minute.


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    steps = lab.parameters.get("steps", ",".join(STEPS)).split(",")
    lab.check(set(steps) <= set(STEPS), f"steps that exist: {', '.join(steps)}")
    host = lab.host(HostConfig(guests_mib=memory + SAVE_AREA_MIB))
    agent = Agent(host, config="[default]\nmax-crashes = 100\n")
    agent.install()
    agent.start()
    rescue = Rescue(lab, agent, GuestConfig("killed", memory, vcpus=lab.number("vcpus", 1)))
    rescue.fill(lab.number("load", 32))
    for row in [[step] for step in steps] if "each" in lab.parameters else [steps]:
        _kill_at(lab, agent, rescue, row)
    lab.report["steps"] = steps


def _kill_at(lab: Lab, agent: Agent, rescue: Rescue, steps: list[str]) -> None:
    agent.signal("TERM")
    agent.wait_ended()
    agent.start(kill_at=steps[0])
    crash = rescue.crash()
    for step, following in zip(steps, [*steps[1:], None]):
        agent.wait_ended(SAVE_SECONDS if step == "done" else 60)
        result = agent.host.finished(agent.job or "")
        lab.check(result and result.status == SIGKILL_STATUS, f"hadumpd was killed after {step}")
        lab.check(rescue.guest.state(), "the domain is still there")
        agent.start(kill_at=following)
    path = rescue.dump_of(crash)
    record = agent.status("killed")["dump"]
    lab.check(record["boots"] == 1, "the dump is in its first boot")
    lab.check(rescue.dumps() == [path], f"there is one dump: {path}")
    rescue.guest.exec("rm -rf /var/crash/*-*; sync")
