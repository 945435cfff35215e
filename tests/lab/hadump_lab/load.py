# SPDX-License-Identifier: GPL-2.0-or-later
"""A described load: memory in as many uses as a page filter tells apart, held until the crash."""

from pathlib import Path

from .guest import Guest
from .overlay import Overlay


def with_load(overlay: Overlay, program: Path) -> Overlay:
    """Adds the program lab-load (tests/lab/vmcore/load.c) to a guest."""
    return overlay.program(program, "usr/sbin/lab-load")


def start(guest: Guest, mib: int) -> str:
    """Uses about `mib` MiB: anonymous, shared and huge pages, tmpfs, page cache; returns its words."""
    guest.exec(f"setsid lab-load {mib} /var/crash >/run/load.log 2>&1 </dev/null &")
    wait = "until grep -q 'LOAD: ready' /run/load.log; do sleep 0.3; done; cat /run/load.log"
    return guest.exec(wait, timeout=180)[1]


def with_scatter(overlay: Overlay, program: Path) -> Overlay:
    """Adds the program lab-scatter (tests/lab/vmcore/scatter.c) to a guest."""
    return overlay.program(program, "usr/sbin/lab-scatter")


def scatter(guest: Guest, mib: int) -> None:
    """Leaves single free pages only, but for `mib`. Nothing puts them together again."""
    # A failed allocation of pages that lie together starts a compaction as well: it may not move locked pages.
    guest.exec("cd /proc/sys/vm; echo 0 >compaction_proactiveness; echo 0 >compact_unevictable_allowed")
    guest.exec(f"setsid lab-scatter {mib} >/run/scatter.log 2>&1 </dev/null &")
    guest.exec("until grep -q 'SCATTER: ready' /run/scatter.log; do sleep 0.3; done", timeout=180)
