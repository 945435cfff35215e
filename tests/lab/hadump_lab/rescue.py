# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that hadumpd looks after: crash it, see it come back, compare its dump with the truth."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import load, truth
from .errors import CheckFailed
from .guest import Guest, GuestConfig
from .images import STANDARD_KERNEL
from .overlay import Overlay
from .product import Agent, guest_overlay
from .waiting import Seen, wait_until

if TYPE_CHECKING:
    from .scenario import Lab

SAVE_AREA_MIB = 640  # Added at a crash: window, tails, and what describes them.
# All pages, so that all can be compared; a production system leaves zero pages out.
SETTINGS = "FORMAT=kdump\nCOMPRESS=zstd\nDUMP_LEVEL=0\nPORTION=128M\n"
_PAGE_SHIFT = 12
_FIRST_MIB = range(0x100)  # Of these only one is Xen's.
_SHARED_INFO = 0x10


@dataclass
class Crash:
    """One crash, for what is compared later."""

    truth: truth.Truth
    mark: int  # On the console, when the agent was let at it.
    agent_mark: int  # The same in the agent's log.


class Rescue:
    """One guest and its agent."""

    settles_within = 30  # Seconds from userspace to the end of its boot.

    def __init__(
        self, lab: "Lab", agent: Agent, config: GuestConfig, settings: str = SETTINGS
    ) -> None:
        """Creates the guest and waits until it is up and registered."""
        self.settings = settings
        self.lab = lab
        self.agent = agent
        self.guest = self.create(config)
        self.before = self.guest.wait_up()
        self.guest.wait_for("HADUMP-LAB boot complete", self.settles_within, self.before.index)
        lab.note(f"{config.name}: {self.before.match.group(0)}")

    def create(self, config: GuestConfig) -> Guest:
        """Makes the guest, with the product in it."""
        return self.agent.host.create_guest(replace(config, overlay=self.overlay()))

    def overlay(self) -> Overlay:
        """What its boot has beside the lab's own."""
        return load.with_load(
            guest_overlay(STANDARD_KERNEL, self.settings), self.lab.program("lab-load")
        )

    def fill(self, mib: int) -> None:
        """Gives the dump something to hold."""
        load.start(self.guest, mib)

    def crash(self) -> Crash:
        """Crashes it and takes the truth while the agent is stopped; the agent goes on then."""
        self.agent.signal("STOP")
        crash = self.crash_unseen()
        self.agent.signal("CONT")
        return crash

    def crash_unseen(self) -> Crash:
        """The same while no agent runs."""
        self.guest.crash()
        self.guest.wait_state("c")
        taken = self._take("crash")
        self.lab.note(f"crashed; truth: {taken.present} frames in {taken.seconds} s")
        return Crash(taken, self.guest.mark(), self.agent.log.mark())

    def changed_since(self, crash: Crash) -> list[int]:
        """The frames of the crashed guest that have changed, but for those that Xen writes to."""
        taken = self._take("now")
        now, then = truth.records(taken), truth.records(crash.truth)
        xens = (truth.kept(taken) & truth.kept(crash.truth)) - set(_FIRST_MIB) | {_SHARED_INFO}
        frames = (now.keys() | then.keys()) - xens
        return sorted(frame for frame in frames if now.get(frame) != then.get(frame))

    def _take(self, name: str) -> truth.Truth:
        local = self.lab.directory / f"truth-{self.guest.config.name}-{name}"
        return truth.take(self.guest, self.lab.program("take-truth"), local)

    def wait_back(self, mark: int) -> Seen:
        """Waits for userspace, with all CPUs."""
        up = self.guest.wait_up(120, mark)
        self.lab.check(up.match.group(3) == self.before.match.group(3), "back with all its CPUs")
        return up

    def wait_saved(self, since: int) -> Seen:
        """Waits until the dump is saved, and checks that nothing is held."""
        done = self.guest.wait_for(
            r"HADUMP-LAB done \S*hadump-save\S* status=(\d+)", 300, since
        )
        self.lab.check(done.match.group(1) == "0", "the dump is saved and the memory given back")
        self.guest.wait_for("HADUMP-LAB boot complete", self.settles_within, done.index)
        self.wait_all_back()
        return done

    def wait_all_back(self) -> None:
        """Waits until it has all of its memory, as before the crash."""
        had = int(self.before.match.group(2))

        def back() -> tuple[int, int]:
            has, held = self.guest.exec(
                "awk '/^MemTotal/{print $2}' /proc/meminfo; cat /sys/kernel/hadump/mem_held"
            )[1].split()
            return int(has), int(held)

        def all_back() -> int | None:
            has, held = back()
            return has if abs(has - had) * 100 <= had and held == 0 else None

        # A balloon gives back soon after what the window had too much.
        has = wait_until(
            all_back, 20,
            lambda: f"nothing is held, MemTotal within 1 % of {had} KiB: now {back()}",
        )  # fmt: skip
        self.lab.check(True, f"all memory is back: {had} KiB before, {has} KiB now")

    def dumps(self) -> list[str]:
        """The finished dumps, oldest first: paths in the guest."""
        found = self.guest.exec("ls -tr /var/crash/*/vmcore 2>/dev/null", check=False)[1].split()
        unfinished = self.guest.exec(
            "ls /var/crash/*/*incomplete* /var/crash/*/.*journal* 2>/dev/null", check=False
        )[1]
        if unfinished.strip():
            raise CheckFailed(f"something unfinished is left: {unfinished}")
        return found

    def compare(self, crash: Crash, path: str, area: tuple[int, int] | None = None) -> None:
        """Every page of a dump equals the truth.

        `area`: the save area that the guest had registered, [start, end) in bytes. What was in it
        is nobody's memory, and the only part that the dump lacks.
        """
        found = self.comparison(crash, path)
        present = crash.truth.present
        if area:
            frames = (area[0] >> _PAGE_SHIFT, area[1] >> _PAGE_SHIFT)
            self.lab.check(found.missing == [frames], f"the save area is missing: {found.missing}")
            found = replace(found, missing=[])
            present -= frames[1] - frames[0]
        found.expect_equal()
        self.lab.check(found.equal + len(found.explained) == present, found.verdict())

    def comparison(self, crash: Crash, path: str) -> truth.Comparison:
        """A dump beside the truth."""
        self.guest.flush()
        self.guest.get_from_disk(path.removeprefix("/var/crash/"), self.vmcore)
        found = truth.compare(crash.truth, self.vmcore, self.lab.program("compare-dump"))
        self.lab.note(f"{path}: {found.frames} frames: {found.counts}")
        return found

    @property
    def vmcore(self) -> Path:
        """Where comparison() has put the dump."""
        return self.lab.directory / "vmcore"

    def dump_of(self, crash: Crash, area: tuple[int, int] | None = None) -> str:
        """Waits for the whole way back and compares the newest dump; returns its path."""
        up = self.wait_back(crash.mark)
        self.wait_saved(up.index)
        path = self.dumps()[-1]
        self.compare(crash, path, area)
        return path


def checksum(guest: Guest, path: str) -> str:
    """Of a file in the guest, and its modification time."""
    return guest.exec(f"md5sum {path}; stat -c %Y {path}", timeout=120)[1].strip()

