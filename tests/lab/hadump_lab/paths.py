# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the lab keeps things: a cache that survives, run directories that do not."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LAB_DIR = Path(__file__).resolve().parent.parent
SOURCE_DIR = LAB_DIR.parent.parent


def cache_dir() -> Path:
    """${HADUMP_CACHE}, or hadump-lab below the user's cache directory.  Created on demand."""
    explicit = os.environ.get("HADUMP_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(explicit) if explicit else Path(base) / "hadump-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def runs_dir() -> Path:
    """Parent of the run directories.  Short, because a UNIX socket's path has 108 bytes at most."""
    explicit = os.environ.get("HADUMP_LAB_RUNS")
    path = Path(explicit or Path(tempfile.gettempdir()) / f"hadump-lab.{os.getuid()}")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.resolve()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path`: two labs on one machine share the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def building(final: Path) -> Iterator[Path]:
    """Gives a temporary directory that becomes `final` if the body succeeds, and else vanishes."""

    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
