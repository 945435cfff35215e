# SPDX-License-Identifier: GPL-2.0-or-later
"""The truth about a domain, its memory and registers, and a dump's comparison with it.

The programs are in tests/lab/truth/.
"""

import json
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CheckFailed, LabError
from .guest import Guest

_HEADER_BYTES = 16
_KEPT_BYTES = 8 + 4096
# The shared info page, and for each of a few vCPUs its vcpu_info and control block; event words.
_MOST_EXPLAINED = 10


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
    explained: dict[int, str]  # Frames that Xen itself has written to since, with the reason.
    counts: dict[str, int]

    def expect_equal(self) -> None:
        """@raises CheckFailed unless every frame that is not explained is equal."""
        wrong = [f"{kind} {start:#x}-{end:#x}"
                 for kind, ranges in (("different", self.different), ("missing", self.missing),
                                      ("extra", self.extra))
                 for start, end in ranges]  # fmt: skip
        wrong += [] if len(self.explained) <= _MOST_EXPLAINED else [f"explained: {self.explained}"]
        if wrong:
            counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
            raise CheckFailed(f"of {self.frames} frames: {counts}; {'; '.join(wrong[:20])}")

    def verdict(self) -> str:
        """For a report, once expect_equal() has not raised."""
        but = [f"{frame:#x} ({why})" for frame, why in self.explained.items()]
        return f"every page equals the truth{', but for Xen writing to ' if but else ''}{', '.join(but)}"


def take(guest: Guest, program: Path, local: Path, raw: str | None = None) -> Truth:
    """Reads every frame of a paused or crashed guest.  `raw`: dom0's file for the frames themselves."""
    host = guest.host
    host.install([program])
    span = guest.config.maxmem_mib or guest.config.memory_mib
    remote = f"{guest.directory}/truth"
    done = host.exec(f"take-truth {guest.domid()} {remote} {span} {raw or ''}", timeout=300)
    host.get(remote, local)
    host.get(f"{remote}.kept", local.with_name(f"{local.name}.kept"))
    report = json.loads(done.output)
    if not report["present"]:
        raise LabError(f"not one frame of {guest.config.name} could be read: {done.output}")
    return Truth(local, report["present"], report["seconds"])


def records(truth: Truth) -> dict[int, int]:
    """Frame number -> hash; tests/lab/truth/truth_file.h has the format."""
    return dict(struct.iter_unpack("=QQ", truth.path.read_bytes()[_HEADER_BYTES:]))


def kept(truth: Truth) -> set[int]:
    """The frames that Xen itself may have written to since; tests/lab/truth/xen_frames.h."""
    data = truth.path.with_name(f"{truth.path.name}.kept").read_bytes()
    starts = range(0, len(data), _KEPT_BYTES)
    return {int.from_bytes(data[at : at + 8], "little") for at in starts}


def registers(guest: Guest, program: Path) -> list[list[int] | None]:
    """Of every vCPU, as Xen has them, in the order of elf_prstatus; None: was never brought up."""
    host = guest.host
    host.install([program])
    found: list[list[int] | None] = json.loads(host.exec(f"take-registers {guest.domid()}").output)
    return found


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
    kinds = ("equal", "explained", "different", "missing", "extra")
    counts = {kind: int(found[kind]) for kind in kinds}
    explained = {int(frame, 16): why for frame, why in found["explained_frames"]}
    return Comparison(
        found["frames"], found["equal"],
        ranges["different"], ranges["missing"], ranges["extra"], explained, counts,
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
