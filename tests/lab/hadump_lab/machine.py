# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process and its run directory: started, found again, and never left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .paths import runs_dir

_SCRATCH = "scratch-"
# A machine that the command line started ends by itself after that, should nobody stop it.
_LIFETIME = os.environ.get("HADUMP_LAB_LIFETIME", "8h")


@dataclass(frozen=True)
class Machine:
    """A process (with its start time, since process ids come again) and its directory."""

    directory: Path
    pid: int
    started: int  # Field 22 of /proc/PID/stat.

    def alive(self) -> bool:
        """Whether the process still runs."""
        return _start_time(self.pid) == self.started

    def stop(self) -> None:
        """Ends the process and removes the directory.  Can be called again."""
        if self.alive():
            _signal_group(self.pid, signal.SIGTERM)
            end = time.monotonic() + 5
            while self.alive() and time.monotonic() < end:
                _reap(self.pid)
                time.sleep(0.02)
            if self.alive():
                _signal_group(self.pid, signal.SIGKILL)
                _reap(self.pid)
        shutil.rmtree(self.directory, ignore_errors=True)


def new_directory(name: str | None) -> Path:
    """A run directory of that name, or of a new one.  Leftovers of dead machines go first."""
    sweep()
    if name is None:
        return Path(tempfile.mkdtemp(prefix="run-", dir=runs_dir()))
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", name) or name.startswith("."):
        raise LabError(f"{name!r} is no good name: letters, digits, '_', '.' and '-', at most 32")
    directory = runs_dir() / name
    try:
        directory.mkdir()
    except FileExistsError as error:
        raise LabError(f"a lab named {name!r} exists: stop it first") from error
    return directory


def new_scratch() -> Path:
    """A directory for this process's files; sweep() removes it when the process has died."""
    sweep()
    directory = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=runs_dir()))
    _save(directory, os.getpid(), [])
    return directory


def launch(directory: Path, command: Sequence[str], detached: bool) -> Machine:
    """Starts QEMU.  Unless `detached`, it dies with the calling process, whatever kills that.

    Call it from the main thread: the death signal is tied to the thread that starts the process.
    """
    guard = (
        ["timeout", "--kill-after=10", _LIFETIME]
        if detached
        else ["setpriv", "--pdeathsig", "KILL", "--"]
    )
    with open(directory / "qemu.log", "wb") as log:
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [*guard, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _save(directory, process.pid, command)


def find(name: str) -> Machine:
    """The running machine of that name."""
    machine = _load(runs_dir() / name)
    if machine is None or not machine.alive():
        raise LabError(f"no lab named {name!r} is running")
    return machine


def running() -> list[Machine]:
    """All machines of this user."""
    paths = (path for path in sorted(runs_dir().iterdir()) if not path.name.startswith(_SCRATCH))
    machines = (_load(path) for path in paths)
    return [machine for machine in machines if machine and machine.alive()]


def sweep() -> None:
    """Removes the directories of machines that died without cleaning up."""
    for path in runs_dir().iterdir():
        machine = _load(path)
        if machine is not None and not machine.alive():
            shutil.rmtree(path, ignore_errors=True)
        elif machine is None and _age(path) > 3600:
            shutil.rmtree(path, ignore_errors=True)  # Never came to a machine.


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0  # Another lab has just removed what was its own.


def _save(directory: Path, pid: int, command: Sequence[str]) -> Machine:
    machine = Machine(directory, pid, _start_time(pid) or 0)
    state = {"pid": machine.pid, "started": machine.started, "command": [*command]}
    (directory / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    return machine


def _load(directory: Path) -> Machine | None:
    try:
        state = json.loads((directory / "state.json").read_text(encoding="utf-8"))
        return Machine(directory, int(state["pid"]), int(state["started"]))
    except (OSError, ValueError, KeyError):
        return None


def _start_time(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # Not ours: another invocation of the lab started it.
