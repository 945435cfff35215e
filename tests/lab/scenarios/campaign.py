# SPDX-License-Identifier: GPL-2.0-or-later
"""Crashes with mishaps in an order that a seed decides. After each, every page is in a dump or held.

A run is one crash. hadumpd may be killed after a step or at any time, or not be there; while the
dump is saved, the saver is killed, the disk fills up, the guest crashes again, an administrator
releases memory by hand, hadumpd ends and is started again. A guest lives for six runs; then the host
must be as it was before.

A failure names its run: seed=N first=RUN runs=1 makes the same one again, in a guest like that one.

Parameters: seed, runs, first (the number of the first run).
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hadump_lab import truth
from hadump_lab.dump_state import Frames, Held, says_incomplete
from hadump_lab.guest import GuestConfig
from hadump_lab.host import HostConfig
from hadump_lab.mishaps import Mishap, Plan, draw_plan
from hadump_lab.overlay import Overlay
from hadump_lab.product import Agent
from hadump_lab.rescue import SAVE_AREA_MIB, Crash, Rescue
from hadump_lab.scenario import Lab
from hadump_lab.shared_host import HostState
from hadump_lab.waiting import Seen, wait_until

NAME = "campaign"
RUNS_OF_A_GUEST = 6
MOST_MIB = 512
LOAD_MIB = 12
CONFIG = "[default]\nmax-crashes = 1000\n"
# All pages, so that all can be compared, and small portions, so that much can happen in between.
SETTINGS = "DUMP_LEVEL=0\nMIN_FREE_MB=1\nPORTION={portion}M\nFORMAT={format}\nCOMPRESS={compress}\n"
# The save begins when the run says so.
HOLD = """[ -e /sys/kernel/release_region ] || exit 0
until [ -e /run/begin ]; do sleep 0.1; done
"""
SAVE_AGAIN = (
    "(/usr/lib/hadump/hadump-save >/dev/console 2>&1;"
    ' echo "HADUMP-LAB done again-hadump-save status=$?" >/dev/console) </dev/null >/dev/null 2>&1 &'
)
# What was released before the save began is lost, and has to be said so.
SAVE_REST = SAVE_AGAIN.replace(
    "/usr/lib/hadump/hadump-save", "release-region save --to /var/crash/ --without-earlier"
)
ENDED = r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)"
FILLER = "/var/crash/filler"
SAVED, WITH_LOSS, LACKS_EARLIER = 0, 5, 8
USUAL_SAVE_S = 8.0
USUAL_FILES = r"\.json$|^acpi-|^(lock|starts|hadumpd.sock|twin-kernel)$"


def run(lab: Lab) -> None:
    seed, first = lab.number("seed", 1), lab.number("first", 0)
    runs = range(first, first + lab.number("runs", 8))
    host = lab.host(HostConfig(guests_mib=MOST_MIB + SAVE_AREA_MIB))
    state = HostState(host)
    outcomes: Counter[str] = Counter()
    while runs:
        life = runs[0] // RUNS_OF_A_GUEST
        mine = [number for number in runs if number // RUNS_OF_A_GUEST == life]
        _live(lab, Agent(host, config=CONFIG), seed, life, mine, outcomes)
        lab.note(f"left clean: {state.clean()}")
        runs = runs[len(mine) :]
    lab.report = {"seed": seed, "first": first, "outcomes": dict(outcomes)}
    lab.note(", ".join(f"{what}: {count}" for what, count in sorted(outcomes.items())))


def _live(
    lab: Lab, agent: Agent, seed: int, life: int, runs: list[int], outcomes: Counter[str]
) -> None:
    """One guest and its crashes."""
    draw = random.Random(f"{seed} life {life}")
    form = draw.choice(["kdump", "kdump", "kdump", "elf"])
    # Every page of an ELF dump is written, which an emulated disk takes minutes for.
    memory = draw.choice([384, 384, 448, MOST_MIB]) if form == "kdump" else 384
    compress = draw.choice(["lzo", "zlib", "zstd", "auto"]) if form == "kdump" else "none"
    portion = draw.choice([8, 16, 32, 64])
    lab.note(f"guest {life} of seed {seed}: {memory} MiB, {form} {compress}, portions of {portion} MiB")
    agent.install()
    agent.start()
    settings = SETTINGS.format(portion=portion, format=form, compress=compress)
    patient = PatientGuest(lab, agent, GuestConfig(NAME, memory, vcpus=1, disk_gib=2), settings)
    _wait_registered(agent)
    before = _account(agent)
    for number in runs:
        started = time.monotonic()
        plan = draw_plan(random.Random(f"{seed} run {number}"), list(Run.EVENTS))
        lab.note(f"run {number} of seed {seed}: {plan}")
        patient.fill(LOAD_MIB)
        one = Run(lab, patient)
        one.carry_out(plan)
        _wait_registered(agent)
        wait_until(
            lambda: _account(agent) == before, 20,
            lambda: f"the host's accounts are {before}; they are {_account(agent)}",
        )  # fmt: skip
        outcomes.update(one.seen)
        lab.note(f"run {number}: {', '.join(one.seen)} in {time.monotonic() - started:.0f} s")
    patient.guest.forget()
    wait_until(lambda: NAME not in agent.host.exec("hadump list").output, 20, "it is forgotten")
    left = agent.host.exec("ls -A /var/lib/hadump/domains").output.split()
    lab.check(not left, f"hadumpd has no notes of it any more: {left}")


def _wait_registered(agent: Agent) -> None:
    wait_until(lambda: _is_registered(agent), 30, f"{NAME} registers")


def _is_registered(agent: Agent) -> bool:
    listed = agent.host.exec("hadump list", check=False).output
    return NAME in listed and bool(agent.status(NAME)["state"] == "registered")


def _account(agent: Agent) -> str:
    """What the host has of domains, memory, files and mappings, but for hadumpd's USUAL_FILES."""
    return agent.host.exec(
        "xl list | awk 'NR > 1 {print $1, $3}';"
        f" xenstore-read /local/domain/$(xl domid {NAME})/memory/target;"
        f" ls -A /var/lib/hadump/domains /run/hadump | grep -vE '{USUAL_FILES}';"
        " echo mappings $(grep -c privcmd /proc/$(pidof hadumpd)/maps)"
    ).output


class PatientGuest(Rescue):
    """Its saver waits for a word."""

    save_seconds = USUAL_SAVE_S

    def overlay(self) -> Overlay:
        return super().overlay().script("40-hold", HOLD)


@dataclass
class Run:
    """One crash, until its dump is complete and compared."""

    lab: Lab
    rescue: PatientGuest
    crash: Crash = field(init=False)
    since: int = 0  # On the console: the save's begin.
    is_saving: bool = False
    is_held_up: bool = True  # The boot script waits.
    ended: int | None = None  # How the dump was completed.
    lost: Frames = field(default_factory=Frames)  # Released by hand.
    lacks_earlier: bool = False  # The saver has missed what was released by hand.
    agent_ends_at_done: bool = False
    seen: list[str] = field(default_factory=list)

    def carry_out(self, plan: Plan) -> None:
        up = self._crash_with(plan.agent)
        self.since = up.index
        for mishap in plan.mishaps:
            if self.ended is None:
                Run.EVENTS[mishap.kind](self, mishap)
        if self.ended is None:
            started = time.monotonic()
            was_saving = self.is_saving
            self._run_in_guest("true")
            self._await_end()
            if not was_saving:
                self.rescue.save_seconds = time.monotonic() - started
        self.lab.check(self.ended is not None, f"the save ends well: {self.seen}")
        self._revive_agent()
        self._check_end()

    # The agent at the crash.

    def _crash_with(self, how: str) -> Seen:
        agent, rescue = self.rescue.agent, self.rescue
        word, *rest = how.split()
        if word == "calm":
            self.crash = rescue.crash()
        elif word == "absent":
            agent.signal("TERM")
            agent.wait_ended()
            self.crash = rescue.crash_unseen()
            agent.start()
        elif word == "kill-after":
            self.crash = rescue.crash()
            time.sleep(float(rest[0]))
            self._restart_agent("KILL")
        else:
            agent.signal("TERM")
            agent.wait_ended()
            agent.start(kill_at=rest[0])
            self.crash = rescue.crash()
            for step, following in zip(rest, [*rest[1:], None]):
                if step != "done":
                    agent.wait_ended()
                    agent.start(kill_at=following)
            self.agent_ends_at_done = rest[-1] == "done"
        self.seen.append(f"agent {word}")
        return rescue.wait_back(self.crash.mark)

    def _restart_agent(self, signal: str) -> None:
        agent = self.rescue.agent
        if not agent.ended():
            agent.signal(signal)
            agent.wait_ended()
        agent.start()
        self.agent_ends_at_done = False

    def _revive_agent(self) -> None:
        """One that was to be killed when the dump is done."""
        agent = self.rescue.agent
        wait_until(
            lambda: agent.ended() or (not self.agent_ends_at_done and _is_registered(agent)),
            30, "hadumpd knows that the dump is done, or was killed",
        )  # fmt: skip
        if agent.ended():
            agent.start()

    # Mishaps while saving.

    def _run_in_guest(self, then: str, after: float = 0) -> tuple[int, str]:
        """Begins a save unless one is under way, and runs a command so long after that."""
        words = []
        if not self.is_saving:
            self.since = self.rescue.guest.mark() if not self.is_held_up else self.since
            again = SAVE_REST if self.lacks_earlier else SAVE_AGAIN
            words.append("touch /run/begin" if self.is_held_up else again)
        delay = int(after * self.rescue.save_seconds * 1e6)
        words.append(f"usleep {delay}")
        self.is_saving, self.is_held_up = True, False
        return self.rescue.guest.exec("\n".join([*words, then]), timeout=120, check=False)

    def _await_end(self) -> int:
        """The status of the save that is under way; an end without success leaves all safe."""
        done = self.rescue.guest.wait_for(ENDED, 300, self.since)
        self.is_saving = False
        status = int(done.match.group(1))
        if status in (SAVED, WITH_LOSS):
            self.ended = status
        else:
            self._check_all_safe()
        if status == LACKS_EARLIER and self.lost.ranges:
            self.lacks_earlier = True
            self._run_in_guest("true")
            return self._await_end()
        return status

    def _kill_saver(self, mishap: Mishap) -> None:
        self._run_in_guest("killall -KILL release-region", mishap.after)
        status = self._await_end()
        self.seen.append("saver killed" if status == 137 else "saver faster than its killer")
        self.lab.check(self.ended is not None or status == 137, f"the saver's status is {status}")

    def _fill_disk(self, mishap: Mishap) -> None:
        free = "$(stat -f -c '%f * %S' /var/crash)"
        fill = f"fallocate -l $(({free} - ({mishap.number} << 20))) {FILLER}"
        self._run_in_guest(fill, mishap.after)
        status = self._await_end()
        self.rescue.guest.exec(f"rm {FILLER}; sync")
        self.seen.append("disk full" if status == 4 else "disk large enough")
        self.lab.check(self.ended is not None or status == 4, f"the saver's status is {status}")

    def _crash_again(self, mishap: Mishap) -> None:
        agent, guest = self.rescue.agent, self.rescue.guest
        if self.agent_ends_at_done:
            self._restart_agent("TERM")  # Or the save's end would be its own, and not this crash's.
        agent.signal("STOP")
        panic = "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger"
        mark = guest.mark()
        # The guest must have answered before; and the module tells of a saver within a second. A boot
        # that ends without one is a failed window, of which two are too many.
        begun = '[ "$(wc -c </sys/kernel/hadump/progress)" -gt 1 ]'
        delay = 1.5 + mishap.after * self.rescue.save_seconds
        wait = f"until {begun}; do usleep 100000; done; sleep {delay:.2f}"
        self._run_in_guest(f"({wait}; {panic}) </dev/null >/dev/null 2>&1 &")
        seen = guest.wait_for("Kernel panic - not syncing", 60, mark)
        done = guest.log.find(ENDED, self.since)
        if done and int(done.match.group(1)) in (SAVED, WITH_LOSS):
            self.seen.append("crash after the save")
            agent.signal("CONT")
            return self._start_over(int(done.match.group(1)), seen.index)
        agent.signal("CONT")
        self.seen.append("crash while saving")
        self._back(seen.index)

    def _start_over(self, status: int, panic: int) -> None:
        """The dump was complete before this crash, which has one of its own, and no truth."""
        self._back(panic)
        self._run_in_guest("true")
        second = self.rescue.guest.wait_for(ENDED, 300, self.since)
        self.lab.check(second.match.group(1) == "0", "the second crash's dump is saved, too")
        self.is_saving = False
        self.ended = status

    def _back(self, panic: int) -> None:
        up = self.rescue.wait_back(panic)
        self.since, self.is_saving, self.is_held_up = up.index, False, True

    def _release_by_hand(self, mishap: Mishap) -> None:
        draw = random.Random(mishap.number)
        held = Held.of(self.rescue.guest)
        if not held.held.ranges:
            self.seen.append("nothing left to release")
            return
        start, end = draw.choice(held.held.ranges)
        first = draw.randrange(start, end)
        count = min(draw.randrange(1, 4096), end - first)
        words = f"{first << 12:#x} {count << 12:#x}"
        tool = f"release-region release {words}"
        by_hand = f"echo {words} >/sys/kernel/release_region"
        status, said = self._run_in_guest(draw.choice([tool, by_hand]), mishap.after)
        self.seen.append("released by hand" if status == 0 else "too late to release")
        self.lab.note(f"released by hand: {words}: {status} {said.strip()}")
        if status == 0:
            self.lost.add(first, first + count)

    def _end_agent(self, mishap: Mishap) -> None:
        self._run_in_guest("true", mishap.after)
        self._restart_agent("TERM" if mishap.number % 2 else "KILL")
        self.seen.append("hadumpd started again")

    EVENTS = {
        "saver killed": _kill_saver,
        "disk full": _fill_disk,
        "crash again": _crash_again,
        "release by hand": _release_by_hand,
        "hadumpd again": _end_agent,
    }

    # What must be true.

    def _check_all_safe(self) -> None:
        """After a save that was cut short: what is not in its file is held."""
        guest = self.rescue.guest
        # One without its headers yet: whoever wrote it was killed, and has released nothing.
        found = guest.exec("find /var/crash -name 'vmcore-incomplete*' -size +16")[1].split()
        held = Held.of(guest)
        self.lab.check(len(found) <= 1, f"at most one partial dump: {found}")
        missing = Frames.of(truth.records(self.crash.truth))
        if found:
            comparison = self.rescue.comparison(self.crash, found[0])
            wrong = comparison.different + comparison.extra
            self.lab.check(not wrong, f"no page of the partial dump is wrong: {wrong}")
            missing = Frames(comparison.missing)
            self.lab.check(self._says_incomplete(), "and it says that it is incomplete")
        nowhere = missing.without(held.kept()).without(self.lost)
        self.lab.check(not nowhere.ranges, f"every page is in it or held: {nowhere.ranges[:8]}")

    def _says_incomplete(self) -> bool:
        return says_incomplete(self.lab.program("release-region"), Path(self.rescue.vmcore))

    def _check_end(self) -> None:
        rescue = self.rescue
        rescue.wait_all_back()
        path = rescue.dumps()[0]
        comparison = rescue.comparison(self.crash, path)
        missing = Frames(comparison.missing)
        wrong = comparison.different + comparison.extra
        self.lab.check(not wrong, f"no page of the dump is wrong: {wrong}")
        self.lab.check(
            not missing.without(self.lost).ranges,
            f"what is missing was released by hand: {missing.ranges}",
        )
        lacks = bool(missing.ranges)
        self.lab.check(self._says_incomplete() == lacks, "it says whether it is complete")
        self.lab.check(self.ended == (WITH_LOSS if lacks else SAVED), f"and so does {self.ended}")
        self.seen.append("incomplete as it says" if lacks else "complete")
        left = rescue.guest.exec(
            "ls -A /var/lib/hadump 2>/dev/null; rm -rf /var/crash/*-*; sync", check=False
        )[1].split()
        self.lab.check(not left, f"the guest has no notes of it any more: {left}")
