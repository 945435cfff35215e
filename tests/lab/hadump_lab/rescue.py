"""A guest that hadumpd looks after: crash it, see it come back, compare its dump with the truth."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import load, truth
from .errors import CheckFailed
from .guest import Guest, GuestConfig
from .images import STANDARD_KERNEL
from .product import Agent, guest_overlay
from .waiting import Seen

if TYPE_CHECKING:
    from .scenario import Lab

SAVE_AREA_MIB = 640  # Added at a crash: window, tails, and what describes them.
# All pages, so that all can be compared; a production system leaves zero pages out.
SETTINGS = "FORMAT=kdump\nCOMPRESS=zstd\nDUMP_LEVEL=0\nPORTION=128M\n"


@dataclass
class Crash:
    """One crash, for what is compared later."""

    truth: truth.Truth
    mark: int  # On the console, when the agent was let at it.


class Rescue:
    """One guest and its agent."""

    def __init__(self, lab: "Lab", agent: Agent, config: GuestConfig) -> None:
        """Creates the guest and waits until it is up and registered."""
        self.lab = lab
        self.agent = agent
        overlay = load.with_load(
            guest_overlay(STANDARD_KERNEL, SETTINGS), lab.program("lab-load")
        )
        self.guest: Guest = agent.host.create_guest(replace(config, overlay=overlay))
        self.before = self.guest.wait_up()
        self.guest.wait_for("HADUMP-LAB boot complete", 30, self.before.index)
        lab.note(f"{config.name}: {self.before.match.group(0)}")

    def fill(self, mib: int) -> None:
        """Gives the dump something to hold."""
        load.start(self.guest, mib)

    def crash(self) -> Crash:
        """Crashes it and takes the truth while the agent is stopped; the agent goes on then."""
        self.agent.signal("STOP")
        self.guest.crash()
        self.guest.wait_state("c")
        name = f"truth-{self.guest.config.name}"
        taken = truth.take(self.guest, self.lab.program("take-truth"), self.lab.directory / name)
        self.lab.note(f"crashed; truth: {taken.present} frames in {taken.seconds} s")
        mark = self.guest.mark()
        self.agent.signal("CONT")
        return Crash(taken, mark)

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
        self.guest.wait_for("HADUMP-LAB boot complete", 30, done.index)
        had = int(self.before.match.group(2))
        has, held = self.guest.exec(
            "awk '/^MemTotal/{print $2}' /proc/meminfo; cat /sys/kernel/hadump/mem_held"
        )[1].split()
        self.lab.check(
            int(has) * 100 >= had * 99 and held == "0",
            f"all memory is back: {had} KiB before, {has} KiB now, {held} bytes held",
        )
        return done

    def dumps(self) -> list[str]:
        """The finished dumps, oldest first: paths in the guest."""
        found = self.guest.exec("ls -tr /var/crash/*/vmcore 2>/dev/null", check=False)[1].split()
        unfinished = self.guest.exec(
            "ls /var/crash/*/*incomplete* /var/crash/*/.*journal* 2>/dev/null", check=False
        )[1]
        if unfinished.strip():
            raise CheckFailed(f"something unfinished is left: {unfinished}")
        return found

    def compare(self, crash: Crash, path: str) -> None:
        """Every page of a dump equals the truth."""
        self.guest.exec("sync")
        local = self.lab.directory / "vmcore"
        self.guest.get_from_disk(path.removeprefix("/var/crash/"), local)
        found = truth.compare(crash.truth, local, self.lab.program("compare-dump"))
        local.unlink()
        self.lab.note(f"{path}: {found.frames} frames: {found.counts}")
        found.expect_equal()
        self.lab.check(found.equal == crash.truth.present, "every page equals the truth")

    def dump_of(self, crash: Crash) -> str:
        """Waits for the whole way back and compares the newest dump; returns its path."""
        up = self.wait_back(crash.mark)
        self.wait_saved(up.index)
        path = self.dumps()[-1]
        self.compare(crash, path)
        return path


def checksum(guest: Guest, path: str) -> str:
    """Of a file in the guest, and its modification time."""
    return guest.exec(f"md5sum {path}; stat -c %Y {path}", timeout=120)[1].strip()

