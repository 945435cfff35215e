# SPDX-License-Identifier: GPL-2.0-or-later
"""What Debian's makedumpfile says about a dump."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CheckFailed

if TYPE_CHECKING:
    from .scenario import Lab


def check(lab: "Lab", dump: Path, panic: str) -> None:
    """It reads what was saved: the kernel's log, with this text, and all that is needed for filtering."""
    for words, name in ((["--dump-dmesg"], "dmesg"), (["-l", "-d", "31"], "filtered")):
        target = dump.with_name(f"{dump.name}-{name}")
        done = subprocess.run(
            ["makedumpfile", *words, str(dump), str(target)],
            text=True, capture_output=True, check=False,
        )  # fmt: skip
        said = (done.stdout + done.stderr)[-400:]
        lab.check(done.returncode == 0, f"makedumpfile {' '.join(words)} reads the dump")
        if not target.exists() or target.stat().st_size == 0:
            raise CheckFailed(f"makedumpfile {words} wrote nothing: {said}")
    text = dump.with_name(f"{dump.name}-dmesg").read_text(encoding="utf-8", errors="replace")
    lab.check(panic in text, "and finds the panic in its log")
