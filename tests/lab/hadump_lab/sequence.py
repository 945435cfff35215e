# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the pages of lab-sequence (tests/lab/vmcore/sequence.c) in a dump: are they of one instant?"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from .guest import Guest
from .overlay import Overlay

_PAGE = 4096
_HEADER = struct.Struct("<QQQQ")  # magic, index, number of pages, number
_MAGIC = 0x6C616220746F7274


@dataclass
class Sequence:
    """What the pages say, by their index."""

    pages: int
    numbers: dict[int, int]

    def torn(self) -> list[tuple[int, int, int]]:
        """(index, found, expected) of the pages that belong to another instant than the newest."""
        newest = max(self.numbers.values(), default=0)
        wrong = []
        for index in range(self.pages):
            expected = newest - (newest - index) % self.pages
            found = self.numbers.get(index, -1)
            if found != max(expected, 0):
                wrong.append((index, found, expected))
        return wrong


def with_sequence(overlay: Overlay, program: Path) -> Overlay:
    """Adds the program to a guest."""
    return overlay.program(program, "usr/sbin/lab-sequence")


def start(guest: Guest, pages: int, threads: int) -> None:
    """Starts it, and waits until each page has been written to."""
    guest.exec(f"mkdir -p /run; setsid lab-sequence {pages} {threads} >/run/sequence.log 2>&1 </dev/null &")
    guest.exec(
        f"until [ $(sed -n '$s/SEQUENCE: //p' /run/sequence.log 2>/dev/null || echo 0)0 "
        f"-gt {pages}0 ]; do sleep 0.5; done",
        timeout=180,
    )


def newest(guest: Guest) -> int:
    """The newest number that it has said."""
    return int(guest.exec("sed -n '$s/SEQUENCE: //p' /run/sequence.log")[1])


def find(dump: Path) -> Sequence:
    """In an ELF core, whose pages begin at multiples of 4096 in the file."""
    numbers: dict[int, int] = {}
    pages = 0
    needle = struct.pack("<Q", _MAGIC)
    with open(dump, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(needle)
        while at >= 0:
            if at % _PAGE == 0:
                _, index, pages, number = _HEADER.unpack_from(data, at)
                numbers[index] = number
            at = data.find(needle, at + _PAGE if at % _PAGE == 0 else at + 1)
    return Sequence(pages, numbers)


def selftest() -> None:
    """A torn copy is told from one of an instant."""
    pages = 8
    whole = Sequence(pages, {n % pages: n for n in range(93, 101)})
    assert not whole.torn(), whole.torn()
    for missing in range(pages):
        old = dict(whole.numbers)
        if old[missing] == 100:
            continue  # Without the newest it is of the instant before.
        old[missing] -= pages
        assert Sequence(pages, old).torn(), missing
    ahead = dict(whole.numbers)
    ahead[101 % pages + 1] = 102  # 101 is not there
    assert Sequence(pages, ahead).torn()
    assert Sequence(pages, {k: v for k, v in whole.numbers.items() if k != 3}).torn()
