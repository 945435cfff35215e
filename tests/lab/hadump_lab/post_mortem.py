# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host that stands still is doing: for a failure report."""

import contextlib
import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    from .host import Host

_PATIENCE_S = 20.0  # It may answer never.
_THREADS = r"""
timeout 5 xl list
timeout 5 hadump list
for process in hadumpd xenstored oxenstored xenconsoled; do
  for task in /proc/$(pidof $process || echo none)/task/*; do
    [ -e $task ] || { echo "$process does not run"; continue; }
    echo "$process ${task##*/} ($(cat $task/comm)): $(cat $task/wchan); syscall $(cat $task/syscall)"
    cat $task/stack
  done
done
! command -v eu-stack >/dev/null || timeout 10 eu-stack -p $(pidof hadumpd)
"""


def examine(host: "Host") -> str:
    """The domains, every thread of the daemons in dom0, and the processor; as far as they can be had."""
    if not host.machine.alive():
        return "===== the machine has ended"
    stacks = shutil.which("eu-stack")  # With it, functions are named, too.
    job = host.begin(_THREADS)
    with contextlib.suppress(LabError):
        if stacks and _wait(host, job):
            host.install([Path(stacks)])
            job = host.begin(_THREADS)
    answered = _wait(host, job)
    return "\n".join([
        "===== dom0" if answered else "===== dom0 (has not answered to the end)", host.output(job),
        "===== processor", _monitor(host.directory / "monitor", ["info registers", "info lapic"]),
    ])  # fmt: skip


def _wait(host: "Host", job: str) -> bool:
    end = time.monotonic() + _PATIENCE_S
    while host.finished(job) is None:
        if time.monotonic() > end or not host.machine.alive():
            return False
        time.sleep(0.1)
    return True


def _monitor(path: Path, commands: list[str]) -> str:
    answer = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(2)
        monitor.connect(str(path))
        for command in commands:
            monitor.sendall(command.encode() + b"\n")
        while piece := monitor.recv(65536):  # Until it has been silent for a while.
            answer += piece
    lines = answer.decode(errors="replace").replace("\r", "").splitlines()
    return "\n".join(line for line in lines if "\x1b" not in line)  # No echo of what was typed.
