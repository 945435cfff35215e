"""The truth about a domain's memory, and a dump's comparison with it.  See tests/lab/truth/."""

import json
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CheckFailed, LabError
from .guest import Guest

_HEADER_BYTES = 16


@dataclass(frozen=True)
class Truth:
    """A truth file on this machine."""

    path: Path
    present: int  # Frames that were there.
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Frame counts; ranges are half-open pairs of frame numbers."""

    frames: int
    equal: int
    different: list[tuple[int, int]]
    missing: list[tuple[int, int]]
    extra: list[tuple[int, int]]
    counts: dict[str, int]

    def expect_equal(self, allowed: dict[int, str] | None = None) -> None:
        """@raises CheckFailed unless all frames are equal, but for `allowed` ones (with reasons)."""
        known = allowed or {}
        wrong = [f"{kind} {start:#x}-{end:#x}"
                 for kind, ranges in (("different", self.different), ("missing", self.missing),
                                      ("extra", self.extra))
                 for start, end in ranges
                 if kind != "different" or any(f not in known for f in range(start, end))]  # fmt: skip
        if wrong:
            counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
            raise CheckFailed(f"of {self.frames} frames: {counts}; {'; '.join(wrong[:20])}")


def take(guest: Guest, program: Path, local: Path, raw: str | None = None) -> Truth:
    """Reads every frame of a paused or crashed guest.  `raw`: dom0's file for the frames themselves."""
    host = guest.host
    if host.exec("command -v take-truth", check=False).status != 0:
        host.install([program])
    span = guest.config.maxmem_mib or guest.config.memory_mib
    remote = f"{guest.directory}/truth"
    done = host.exec(f"take-truth {guest.domid()} {remote} {span} {raw or ''}", timeout=300)
    host.get(remote, local)
    report = json.loads(done.output)
    if not report["present"]:
        raise LabError(f"not one frame of {guest.config.name} could be read: {done.output}")
    return Truth(local, report["present"], report["seconds"])


def records(truth: Truth) -> dict[int, int]:
    """Frame number -> hash; tests/lab/truth/truth_file.h has the format."""
    return dict(struct.iter_unpack("=QQ", truth.path.read_bytes()[_HEADER_BYTES:]))


def compare(truth: Truth, dump: Path, program: Path, through_kdumpfile: bool = False) -> Comparison:
    """Compares a dump on this machine."""
    command = [str(program), str(truth.path), str(dump)]
    command += ["--kdumpfile"] if through_kdumpfile else []
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise CheckFailed(f"{dump.name}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    ranges = {
        kind: [(int(start, 16), int(end, 16)) for start, end in found[f"{kind}_frames"]]
        for kind in ("different", "missing", "extra")
    }
    counts = {kind: int(found[kind]) for kind in ("equal", "different", "missing", "extra")}
    return Comparison(
        found["frames"], found["equal"],
        ranges["different"], ranges["missing"], ranges["extra"], counts,
    )  # fmt: skip


def differences(guest: Guest, raw: str, dump: Path, program: Path, frame: int) -> list[str]:
    """The 8-byte words of one frame that differ: offset, truth, dump.  `raw`: as given to take()."""
    local = dump.with_name("frame")
    where = f"{guest.directory}/frame"
    guest.host.exec(f"dd if={raw} of={where} bs=4096 skip={frame} count=1 status=none")
    guest.host.get(where, local)
    before = local.read_bytes()
    command = [str(program), "--frame", str(dump), hex(frame)]
    after = subprocess.run(command, capture_output=True, check=True).stdout
    words = range(0, len(before), 8)
    return [
        f"{frame:#x}+{at:#05x}: {before[at : at + 8].hex()} -> {after[at : at + 8].hex()}"
        for at in words
        if before[at : at + 8] != after[at : at + 8]
    ]
