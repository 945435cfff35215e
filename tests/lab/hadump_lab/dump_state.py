# SPDX-License-Identifier: GPL-2.0-or-later
"""Which frames are where while a dump is being saved."""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .guest import Guest

_INCOMPLETE = 5  # Exit status of release-region info.
_PAGE_SHIFT = 12
_REGION = re.compile(r"^0x([0-9a-f]+) 0x([0-9a-f]+) (\S+)", re.MULTILINE)


@dataclass
class Frames:
    """A set of frame numbers as half-open ranges."""

    ranges: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Frames":
        """The set of these."""
        frames = cls()
        for number in sorted(numbers):
            if frames.ranges and frames.ranges[-1][1] == number:
                frames.ranges[-1] = (frames.ranges[-1][0], number + 1)
            else:
                frames.ranges.append((number, number + 1))
        return frames

    def add(self, start: int, end: int) -> None:
        """One range more; it may lie over others."""
        self.ranges.append((start, end))

    def without(self, other: "Frames") -> "Frames":
        """What is in this set only."""
        left = self.ranges
        for start, end in other.ranges:
            left = [
                part
                for low, high in left
                for part in ((low, min(high, start)), (max(low, end), high))
                if part[0] < part[1]
            ]
        return Frames(left)


@dataclass
class Held:
    """What a guest whose dump waits still has of the old memory."""

    held: Frames
    window: Frames  # The save area has a copy of it.

    @classmethod
    def of(cls, guest: Guest) -> "Held":
        """By /sys/kernel/hadump/regions."""
        text = guest.exec("cat /sys/kernel/hadump/regions")[1]
        found = cls(Frames(), Frames())
        for start, end, state in _REGION.findall(text):
            frames = {"held": found.held, "window": found.window}.get(state)
            if frames is not None:
                frames.add(int(start, 16) >> _PAGE_SHIFT, int(end, 16) >> _PAGE_SHIFT)
        return found

    def kept(self) -> Frames:
        """All that can still be saved."""
        return Frames(self.held.ranges + self.window.ranges)


def says_incomplete(release_region: Path, dump: Path) -> bool:
    """Whether a dump says so itself."""
    command = [str(release_region), "info", "--log-lines", "0", str(dump)]
    return subprocess.run(command, capture_output=True, check=False).returncode == _INCOMPLETE
