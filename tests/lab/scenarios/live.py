# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's memory is captured while it runs: what is in the dump was there at one instant.

Two threads of the guest write numbers into pages, in one order; it reads its disk and its network
meanwhile.  In the dump each page has the number that it had when the newest one was written.  The
guest goes on, is not paused, and its writes are logged no more.

Parameters: memory, vcpus, pages (that the guest writes to), kill=1 (hadumpd is killed at each step;
nothing is left but a guest that runs), budget (--max-stop), busy=1 (a budget that cannot be kept).
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from hadump_lab import sequence
from hadump_lab.guest import Guest, GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

NAME = "live"
TARGET = "/scratch/captures"
SIGKILL_STATUS = 128 + 9
# The host has one processor, and the guest is never idle: the rest is dom0's.
SHARE = "cpu_weight=64\ncap=50"
HOST_FREE_MIB = 600  # Of a host without any memory for guests.
BEFORE_THE_INSTANT = ("capture-tracking", "capture-stopping", "capture-paused", "capture-copied", "capture-resumed")


def run(lab: Lab) -> None:
    sequence.selftest()
    lab.check(True, "the check tells a torn copy from one of an instant")
    memory = lab.number("memory", 512)
    host = lab.host(HostConfig(guests_mib=memory + 728 - HOST_FREE_MIB))
    host.exec(f"mkdir -m 700 -p {TARGET}")
    agent = Agent(host)
    agent.install()
    agent.start()
    overlay = sequence.with_sequence(Overlay(), lab.program("lab-sequence"))
    guest = host.create_guest(
        GuestConfig(NAME, memory, vcpus=lab.number("vcpus", 2), overlay=overlay, extra=SHARE)
    )
    up = guest.wait_up(90)
    guest.wait_for("HADUMP-LAB boot complete", 30, up.index)
    sequence.start(guest, lab.number("pages", 1024), 2)
    guest.exec("dd if=/dev/urandom of=/var/crash/data bs=1M count=8 2>/dev/null; sync")
    reading = "dd if=/var/crash/data of=/dev/null bs=1M iflag=direct"
    guest.exec(f"(while :; do {reading}; sleep 1; done) >/dev/null 2>&1 &")
    wait_until(lambda: _state(agent) == "watching", 60, "hadumpd knows the guest")

    done = _capture(lab, agent, guest)
    _check_guest(lab, agent, guest)
    _check_dump(lab, agent, done)
    agent.host.exec(f"hadump discard {done['name']}")
    if "busy" in lab.parameters:
        _check_busy(lab, agent, guest)
    if "kill" not in lab.parameters:
        return
    for step in BEFORE_THE_INSTANT:
        _kill(lab, agent, guest, step)
    _continue(lab, agent, guest)  # That it can be captured again shows that no log is left over.


def _state(agent: Agent) -> str:
    return str(agent.status(NAME)["state"])


def _captures(agent: Agent) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = agent.status(NAME)["captures"]
    return found


def _words(lab: Lab, *more: str) -> str:
    budget = f"--max-stop {lab.number('budget', 20)}"
    return " ".join([f"hadump capture {NAME} --mode live --to {TARGET}/ --dump-level 0", *(more or (budget,))])


def _capture(lab: Lab, agent: Agent, guest: Guest) -> dict[str, Any]:
    """Takes one. That it can be taken shows that no log is left over of another."""
    since = agent.log.mark()
    before = sequence.newest(guest)
    result = agent.host.exec(_words(lab, f"--max-stop {lab.number('budget', 20)}", "--follow"), timeout=400)
    lab.note(result.output)
    done = _captures(agent)[-1]
    lab.check(done["state"] == "written" and done["complete"], f"it is written: {done['error']}")
    lab.check(done["stop_us"] > 0, f"the guest was stopped for {done['stop_us']} us")
    log = agent.log.text(since)
    said = re.search(r"the domain was stopped for (\d+) us", log)
    lab.check(said and int(said.group(1)) == done["stop_us"], "which hadumpd's log says")
    wait_until(lambda: sequence.newest(guest) > before, 60, "the guest's threads go on")
    return done


def _check_guest(lab: Lab, agent: Agent, guest: Guest) -> None:
    """It runs as before."""
    lab.check("p" not in guest.state(), f"the guest is not paused: {guest.state()}")
    guest.exec("echo again >/var/crash/again && sync && test $(cat /var/crash/again) = again")
    lab.check(True, "its disk works")
    reached = guest.exec("ping -c 2 10.99.0.1 | grep -c ' 0% packet loss'")[1]
    lab.check(reached.strip() == "1", "and its network")
    wait_until(lambda: _state(agent) == "watching", 20, "hadumpd watches it as before")


def _check_dump(lab: Lab, agent: Agent, done: dict[str, Any]) -> None:
    text = json.loads(agent.host.exec(f"cat {done['metadata']}").output)
    live = text["header"]["live"]
    lab.note(f"metadata: {json.dumps(live)}")
    lab.report = {"live": live}
    lab.check(live["stop_us"] == done["stop_us"], "the metadata says the same")
    lab.check(live["granted_bytes"] > 0, f"{live['granted_bytes'] >> 10} KiB are granted to backends")
    lab.check(len(text["header"]["vcpus"]) == lab.number("vcpus", 2), "it has the registers of all vCPUs")
    listing = agent.host.exec(f"ls {Path(done['file']).parent}").output.split()
    lab.check(listing == ["dmesg.txt", "metadata.json", "vmcore"], f"nothing else is left: {listing}")
    local = lab.directory / "vmcore"
    agent.host.get(done["file"], local)
    core = _elf(lab, local)
    found = sequence.find(core)
    core.unlink()
    lab.check(found.pages == lab.number("pages", 1024), f"{len(found.numbers)} pages have numbers")
    torn = found.torn()
    lab.check(not torn, f"all are of one instant, whose newest is {max(found.numbers.values())}: {torn[:5]}")
    shown = _tool(lab, "info", str(local))
    lab.note(shown)
    lab.check("Linux version" in _tool(lab, "dmesg", str(local)), "the kernel's log can be read from it")
    local.unlink()


def _tool(lab: Lab, *words: str) -> str:
    command = [str(lab.program("release-region")), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def _elf(lab: Lab, dump: Path) -> Path:
    core = lab.directory / "core"
    _tool(lab, "convert", str(dump), str(core), "--format", "elf", "--progress", "none")
    return core


def _check_busy(lab: Lab, agent: Agent, guest: Guest) -> None:
    """No stop is that short here: give up leaves the guest alone, and the default takes its time."""
    result = agent.host.exec(_words(lab, "--follow --if-busy give-up --max-stop 1"), check=False, timeout=400)
    lab.check(result.status != 0 and "stop-longer" in result.output, f"it gives up: {result.output}")
    _check_guest(lab, agent, guest)


def _kill(lab: Lab, agent: Agent, guest: Guest, step: str) -> None:
    """hadumpd dies before the instant is kept: the next one makes the guest run on."""
    _restart_to_be_killed(agent, step)
    agent.host.exec(_words(lab), check=False)
    _check_killed(lab, agent, step)
    stopped = step in ("capture-paused", "capture-copied")
    lab.check(("p" in guest.state()) == stopped, f"{step}: the guest is {guest.state()}")
    agent.start()
    wait_until(lambda: _captures(agent)[-1]["state"] == "failed", 60, "the next hadumpd reports it")
    lab.check("ended before" in _captures(agent)[-1]["error"], _captures(agent)[-1]["error"])
    left = agent.host.exec(f"find {TARGET} -mindepth 1; find /var/lib/hadump/captures -type f", check=False)
    lab.check(not left.output.split(), f"{step}: nothing is left: {left.output.split()}")
    _check_guest(lab, agent, guest)


def _continue(lab: Lab, agent: Agent, guest: Guest) -> None:
    """It dies when the instant is kept: the next one writes it."""
    _restart_to_be_killed(agent, "capture-writing")
    agent.host.exec(_words(lab), check=False)
    _check_killed(lab, agent, "capture-writing")
    agent.start()
    wait_until(lambda: _captures(agent)[-1]["state"] in ("written", "failed"), 300, "it has ended")
    done = _captures(agent)[-1]
    lab.check(done["state"] == "written", f"it was continued: {done['error']}")
    _check_guest(lab, agent, guest)
    agent.host.exec(f"hadump discard {done['name']}")


def _restart_to_be_killed(agent: Agent, step: str) -> None:
    if not agent.ended():
        agent.signal("TERM")
        agent.wait_ended()
    agent.start(kill_at=step)
    wait_until(lambda: _state(agent) == "watching", 60, "hadumpd knows the guest")


def _check_killed(lab: Lab, agent: Agent, step: str) -> None:
    agent.wait_ended(300)
    result = agent.host.finished(agent.job or "")
    lab.check(result and result.status == SIGKILL_STATUS, f"hadumpd was killed at {step}")
